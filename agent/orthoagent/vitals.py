"""What the worker counts, for its health page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Vitals:
    storage_answers: bool = False
    ready: bool = False
    taken: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    fetched_bytes: int = 0
    local_bytes: int = 0
    """Of inputs that lay in a store of the site, or were kept from a task before."""
    compute_s: float = 0.0
    children_lost: dict[str, int] = field(default_factory=dict)
    """Compute children that died or were stopped, by the kind of fault."""

    def count_end(self, state: str) -> None:
        self.ended[state] = self.ended.get(state, 0) + 1

    def count_lost_child(self, kind: str) -> None:
        self.children_lost[kind] = self.children_lost.get(kind, 0) + 1
