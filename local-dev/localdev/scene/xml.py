"""Small helpers to write XML the way the ground segment does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

Content = str | int | float | bool | datetime | None


def add(parent: Element, name: str, content: Content = None, /, **attributes: str) -> Element:
    """Append a child; numbers and times are written as real annotations write them."""
    child = SubElement(parent, name, attributes)
    if content is not None:
        child.text = written(content)
    return child


def add_all(parent: Element, children: Mapping[str, Content]) -> None:
    """Append children in order."""
    for name, content in children.items():
        add(parent, name, content)


def add_list(parent: Element, name: str, values: Iterable[float], style: str = ".6e") -> Element:
    """Append a blank-separated list with its count."""
    items = [format(value, style) for value in values]
    return add(parent, name, " ".join(items), count=str(len(items)))


def written(content: Content) -> str:
    """How a value reads in an annotation."""
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, float):
        return f"{content:.15e}"
    if isinstance(content, datetime):
        return content.isoformat(timespec="microseconds")
    return str(content)


def after(epoch: datetime, seconds: float) -> datetime:
    """A moment, to the microsecond."""
    return epoch + timedelta(microseconds=round(seconds * 1e6))


def encode(root: Element) -> bytes:
    """Indented UTF-8 with a declaration."""
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'.encode()
