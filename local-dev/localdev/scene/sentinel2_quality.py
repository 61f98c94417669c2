"""What is wrong with pixels of a Sentinel-2 image, as a mask's truth and as the polygons that tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from localdev.scene.ellipsoid import Float64Array
from localdev.scene.xml import add, encode

VECTOR_KINDS = ("MSK_TECQUA", "MSK_NODATA", "MSK_DEFECT", "MSK_SATURA")
_COMPONENT = {
    "ANC_LOST": 1, "ANC_DEG": 2, "MSI_LOST": 3, "MSI_DEG": 4, "QT_DEFECTIVE_PIXELS": 5, "QT_NODATA_PIXELS": 6,
    "QT_PARTIALLY_CORRECTED_PIXELS": 7, "QT_SATURATED_PIXELS_L1A": 8,
}  # fmt: skip
"""Of MSK_QUALIT, 1-based."""


@dataclass(frozen=True)
class Patch:
    """A polygon of a mask.

    Attributes
    ----------
    file : str
        The mask that has it, ``"MSK_DEFECT"``.
    kind : str
        What it says, ``"QT_DEFECTIVE_PIXELS"``.
    rings : tuple of (N, 2) float64
        Sample and line of pixels' edges, closed: the exterior and what is cut out of it.
    lines, samples : slice
        Pixels of which it covers any part, but for those cut out.
    hole : (slice, slice), optional
    """

    file: str
    kind: str
    rings: tuple[Float64Array, ...]
    lines: slice
    samples: slice
    hole: tuple[slice, slice] | None = None


def patches(n_lines: int, n_samples: int) -> list[Patch]:
    """Something of everything: along pixels' edges, across them, narrower than a pixel, with a hole."""
    a, b = n_lines // 4, n_samples // 4
    column = n_samples // 2
    return [
        Patch("MSK_SATURA", "QT_SATURATED_PIXELS_L1A", (_box(0, a, 0, b),), slice(0, a), slice(0, b)),
        Patch(
            "MSK_DEFECT", "QT_DEFECTIVE_PIXELS", (_box(0, n_lines, column + 1 / 6, column + 1 / 2),),
            slice(0, n_lines), slice(column, column + 1),
        ),
        Patch(
            "MSK_NODATA", "QT_PARTIALLY_CORRECTED_PIXELS",
            (_box(2 * a, 4 * a, 0, 2 * b), _box(2 * a + 1, 4 * a - 1, 1, 2 * b - 2)),
            slice(2 * a, 4 * a), slice(0, 2 * b), (slice(2 * a + 1, 4 * a - 1), slice(1, 2 * b - 2)),
        ),
        Patch("MSK_NODATA", "QT_NODATA_PIXELS", (_box(0, 1, 0, 1),), slice(0, 1), slice(0, 1)),
        Patch("MSK_TECQUA", "MSI_DEG", (_box(a + 0.5, a + 2.5, b, n_samples),), slice(a, a + 3), slice(b, n_samples)),
        Patch("MSK_TECQUA", "ANC_LOST", (_box(3 * a, 3 * a + 1, b + 0.25, b + 0.75),), slice(3 * a, 3 * a + 1),
              slice(b, b + 1)),
    ]  # fmt: skip


def components(n_lines: int, n_samples: int) -> NDArray[np.uint8]:
    """What MSK_QUALIT has of all that, (8, lines, samples), zeros and ones."""
    found = np.zeros((8, n_lines, n_samples), np.uint8)
    for patch in patches(n_lines, n_samples):
        inside = np.zeros((n_lines, n_samples), bool)
        inside[patch.lines, patch.samples] = True
        if patch.hole is not None:
            inside[patch.hole] = False
        found[_COMPONENT[patch.kind] - 1] |= inside
    return found


@dataclass(frozen=True)
class Schema:
    """How a mask is written: HMA, as the first processors did, or EOP.

    Attributes
    ----------
    srs : str
        Of coordinates.
    dimension : int
        Numbers a point; the third is zero.
    """

    srs: str
    prefix: str
    mask_space: str
    gml_space: str
    dimension: int

    @classmethod
    def hma(cls, srs: str) -> Schema:
        """As in 2015."""
        return cls(srs, "hma", "http://earth.esa.int/hma", "http://www.opengis.net/gml", 2)

    @classmethod
    def eop(cls, srs: str) -> Schema:
        """As later on."""
        return cls(srs, "eop", "http://www.opengis.net/eop/2.0", "http://www.opengis.net/gml/3.2", 3)


def mask_xml(
    schema: Schema,
    name: str,
    corners: tuple[Sequence[float], Sequence[float]],
    polygons: Sequence[tuple[str, str, Sequence[Float64Array]]],
) -> bytes:
    """``*.gml``.

    Parameters
    ----------
    corners : (lower, upper)
        Of the envelope.
    polygons : sequence of (kind, identifier, rings)
        In the schema's coordinates.
    """
    prefix = schema.prefix
    spaces = {"xmlns:gml": schema.gml_space, f"xmlns:{prefix}": schema.mask_space, "gml:id": name}
    root = Element(f"{prefix}:Mask", spaces)
    envelope = SubElement(SubElement(root, "gml:boundedBy"), "gml:Envelope", srsName=schema.srs)
    for which, corner in zip(("lower", "upper"), corners, strict=True):
        add(envelope, f"gml:{which}Corner", " ".join(f"{number:.15g}" for number in corner))
    members = SubElement(root, f"{prefix}:maskMembers")
    for kind, identifier, rings in polygons:
        feature = SubElement(members, f"{prefix}:MaskFeature", {"gml:id": identifier})
        add(feature, f"{prefix}:maskType", kind, codeSpace="urn:gs2:gpp:maskType")
        extent = "eop:extentOf" if prefix == "eop" else "gml:extentOf"
        polygon = SubElement(SubElement(feature, extent), "gml:Polygon", {"gml:id": f"{identifier}_Polygon"})
        for k, ring in enumerate(rings):
            line = SubElement(SubElement(polygon, "gml:interior" if k else "gml:exterior"), "gml:LinearRing")
            points = ring
            if schema.dimension == 3:
                points = np.column_stack([points, np.zeros(len(points))])
            numbers = " ".join(f"{number:.15g}" for number in points.ravel())
            add(line, "gml:posList", numbers, srsDimension=str(schema.dimension))
    return encode(root)


def _box(line0: float, line1: float, sample0: float, sample1: float) -> Float64Array:
    """A ring, closed."""
    return np.array(
        [(sample0, line0), (sample1, line0), (sample1, line1), (sample0, line1), (sample0, line0)], np.float64
    )
