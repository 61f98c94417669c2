"""A terminal that shows what the service says and obeys none of it.

Texts come from other users, workers and servers of products: one with an escape sequence in it could clear the screen,
rename the window or, where a terminal allows it, type.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_CONTROLS: Final = (*range(0x20), 0x7F, *range(0x80, 0xA0))
_TURNS: Final = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks that have letters shown in another order than they are in."""
_SHOWN: Final = {one: "\N{REPLACEMENT CHARACTER}" for one in (*_CONTROLS, *_TURNS) if chr(one) not in "\n\t"}


def plain(text: str) -> str:
    """The text with a sign in place of each character that does something."""
    return text.translate(_SHOWN)


class Terminal(Console):
    """A console all of whose texts are `plain`; its own colours and bars are not texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `rich.console.Console.render`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)
