"""Route templates of HTTP triggers: ``jobs/{id}``, ``jobs/{id:int}``, ``files/{name?}``, ``{*route}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

SEGMENT = re.compile(r"\{(?P<star>\*?)(?P<name>\w+)(?::(?P<kind>\w+))?(?P<optional>\??)\}")
KINDS = {"int": r"-?\d+", "alpha": r"[A-Za-z]+", "guid": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"}
LITERAL, TYPED, FREE, REST = range(4)


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed template.

    Attributes
    ----------
    rank : tuple of int
        Sort key: of several routes that match, the smallest is taken (literal before typed before free before rest,
        segment by segment).
    """

    template: str
    pattern: re.Pattern[str]
    rank: tuple[int, ...]

    @classmethod
    def parse(cls, template: str) -> Route:
        """Read a template.

        Raises
        ------
        ValueError
            For what this host does not know: other constraints, defaults, several parameters in one segment.
        """
        pattern, rank = "", []
        segments = [part for part in template.strip("/").split("/") if part]
        for position, part in enumerate(segments):
            match = SEGMENT.fullmatch(part)
            last = position == len(segments) - 1
            if match is None:
                if "{" in part or "}" in part:
                    raise ValueError(f"route {template!r}: {part!r} is not a parameter this host knows")
                pattern += "/" + re.escape(part)
                rank.append(LITERAL)
                continue
            name, kind = match["name"], match["kind"]
            if (match["star"] or match["optional"]) and not last:
                raise ValueError(f"route {template!r}: only the last segment can be optional or take the rest")
            if kind is not None and kind not in KINDS:
                raise ValueError(f"route {template!r}: constraint {kind!r} is not one of {', '.join(KINDS)}")
            if match["star"]:
                pattern += f"(?:/(?P<{name}>.*))?"
                rank.append(REST)
            else:
                value = f"/(?P<{name}>{KINDS[kind] if kind else '[^/]+'})"
                pattern += f"(?:{value})?" if match["optional"] else value
                rank.append(TYPED if kind else FREE)
        return cls(template, re.compile(pattern + "/?", re.IGNORECASE), tuple(rank))

    def match(self, path: str) -> dict[str, str] | None:
        """Values of the parameters, or None; ``path`` is percent-encoded and begins with a slash (or is empty)."""
        found = self.pattern.fullmatch(path if path != "/" else "")
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
