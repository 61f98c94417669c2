"""Reading XML that came from outside: no document types, no entities, and errors that name the element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError, MalformedXmlError, UnsafeXmlError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class XmlDocument:
    """A parsed XML document, or one element of it, that knows the name of its file.

    Paths are those of ElementTree (``"imageAnnotation/imageInformation/numberOfLines"``), relative to the element.
    """

    def __init__(self, element: Element, source: str) -> None:
        self.element = element
        self.source = source

    @classmethod
    def parse(cls, content: bytes, source: str) -> XmlDocument:
        """Parse a whole document.

        Raises
        ------
        UnsafeXmlError
            It declares a document type, an entity or an external reference.
        MalformedXmlError
            It does not parse.
        """
        try:
            return cls(ElementTree.fromstring(content, forbid_dtd=True), source)
        except DefusedXmlException as error:
            raise UnsafeXmlError(
                source, f"XML that declares {type(error).__name__}", "XML without document type and entities"
            ) from error
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            # ValueError and LookupError: an encoding declaration that Python does not know
            raise MalformedXmlError(source, f"XML that does not parse ({error})", "a complete XML file") from error

    def find(self, path: str) -> XmlDocument:
        """The first element at a path.

        Raises
        ------
        AnnotationError
            There is none.
        """
        element = self.element.find(path)
        if element is None:
            raise AnnotationError(self.source, f"no element <{path}>", f"one under <{self.element.tag}>")
        return XmlDocument(element, self.source)

    def find_all(self, path: str) -> list[XmlDocument]:
        """All elements at a path, in document order; may be empty."""
        return [XmlDocument(element, self.source) for element in self.element.findall(path)]

    def text(self, path: str) -> str:
        """Stripped text of the first element at a path."""
        return (self.find(path).element.text or "").strip()

    def optional_text(self, path: str) -> str | None:
        """Stripped text of the first element at a path; None where there is no such element or it is empty."""
        element = self.element.find(path)
        return None if element is None else (element.text or "").strip() or None

    def number(self, path: str) -> float:
        """A finite float.

        Raises
        ------
        AnnotationError
            The text is not one.
        """
        text = self.text(path)
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise AnnotationError(self.source, f"<{path}> is {text[:40]!r}", "a finite number")
        return value

    def integer(self, path: str) -> int:
        """An integer.

        Raises
        ------
        AnnotationError
            The text is not one.
        """
        text = self.text(path)
        try:
            return int(text)
        except ValueError as error:
            raise AnnotationError(self.source, f"<{path}> is {text[:40]!r}", "an integer") from error

    def numbers(self, path: str) -> NDArray[np.float64]:
        """``(N,)`` float64 from space-separated text.

        Raises
        ------
        AnnotationError
            A word is not a finite number.
        """
        text = self.text(path)
        try:
            values = np.array(text.split(), dtype=np.float64)
        except ValueError:
            values = np.full(1, np.nan)
        if not np.isfinite(values).all():
            raise AnnotationError(self.source, f"<{path}> is {text[:40]!r}...", "finite numbers")
        return values

    def time_utc(self, path: str) -> np.datetime64:
        """A UTC time as ``datetime64[us]``; a trailing ``Z`` is allowed.

        Raises
        ------
        AnnotationError
            The text is not an ISO 8601 time.
        """
        text = self.text(path)
        try:
            value: np.datetime64 = np.datetime64(text.removesuffix("Z"), "us")
        except ValueError:
            value = np.datetime64("NaT", "us")
        if np.isnat(value):
            raise AnnotationError(
                self.source, f"<{path}> is {text[:40]!r}", "a time such as 2021-12-23T05:11:22.594441"
            )
        return value
