"""XML from outside: no document type, no entities, bounded size."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from orthofunctions.domain.faults import BrokenProductError, UnsafeProductError

MAX_XML_BYTES = 16 * 1024 * 1024


def parse_xml(data: bytes, name: str) -> Element:
    """The root element.

    Raises
    ------
    UnsafeProductError
        Where it declares a document type or entities, or is larger than any product's.
    BrokenProductError
        Where it is not XML.
    """
    if len(data) > MAX_XML_BYTES:
        raise UnsafeProductError(f"{name}: more than {MAX_XML_BYTES} bytes of XML; no product has that")
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UnsafeProductError(
            f"{name}: XML with a document type or entity declaration; no product has one"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise BrokenProductError(f"{name}: not well-formed XML ({error}); upload it again") from error
    return root
