"""Masks as vectors: polygons on pixels, exactly, and what the files must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio.features
from numpy.typing import NDArray

from orthokernel.container import open_container
from orthokernel.errors import AnnotationError, MissingAnnotationError, MissingMeasurementError
from orthokernel.sentinel2.gml import read_mask
from orthokernel.sentinel2.masks import MaskFiles, in_image, on_map
from orthokernel.sentinel2.polygons import Polygons, mark_covered, mark_middles
from reference import polygons as twin

SHAPE = (23, 31)

HMA = """<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<hma:Mask gml:id="MASK" xmlns:gml="http://www.opengis.net/gml" xmlns:hma="http://earth.esa.int/hma">
  <gml:name>defective pixels mask from data-strip</gml:name>
  <gml:boundedBy><gml:Envelope srsName="urn:ogc:def:derivedCRSType:OGC:1.0:image">
      <gml:lowerCorner>1 1</gml:lowerCorner><gml:upperCorner>30 40</gml:upperCorner>
  </gml:Envelope></gml:boundedBy>
  <hma:maskMembers>
    <hma:MaskFeature gml:id="qt_defective_pixels-0">
      <hma:maskType codeSpace="urn:gs2:gpp:maskType">QT_DEFECTIVE_PIXELS</hma:maskType>
      <gml:extentOf><gml:Polygon srsName="urn:ogc:def:derivedCRSType:OGC:1.0:image"><gml:exterior><gml:LinearRing>
        <gml:posList>20.166667 0.5 20.166667 40.5 20.5 40.5 20.5 0.5 20.166667 0.5</gml:posList>
      </gml:LinearRing></gml:exterior></gml:Polygon></gml:extentOf>
    </hma:MaskFeature>
  </hma:maskMembers>
</hma:Mask>
"""
EMPTY = HMA[: HMA.index("  <hma:maskMembers>")] + "  <hma:maskMembers/>\n</hma:Mask>\n"
KINDS = ("MSK_TECQUA", "MSK_NODATA", "MSK_DEFECT", "MSK_SATURA")


def stars(count: int, seed: int) -> list[list[NDArray[np.float64]]]:
    """Polygons with arms, of any size, some with a hole, partly outside."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        turn = np.sort(random.uniform(0, 2 * np.pi, 11))
        arm = np.stack([np.cos(turn), np.sin(turn)], axis=1) * random.uniform(0.3, 1.0, 11)[:, None]
        middle = random.uniform([-3, -3], [34, 26])
        rings = [middle + random.uniform(0.2, 12.0) * arm]
        if random.uniform() < 0.5:
            rings.append(middle + 0.5 * (rings[0] - middle))
        found.append([np.concatenate([ring, ring[:1]]) for ring in rings])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_pixels_are_those_that_geos_finds(seed: int) -> None:
    polygons = stars(9, seed)
    values = [1 << int(k) for k in np.random.default_rng(seed).integers(0, 8, len(polygons))]
    packed = Polygons.of(polygons, values)
    out = np.zeros(SHAPE, np.uint8)
    mark_covered(packed, 0, 0, out)
    np.testing.assert_array_equal(out, twin.covered(polygons, values, SHAPE))
    out[:] = 0
    mark_middles(packed, 0, 0, out)
    np.testing.assert_array_equal(out, twin.middles(polygons, values, SHAPE))
    window = np.zeros((7, 9), np.uint8)
    mark_middles(packed, 5, 11, window)
    np.testing.assert_array_equal(window, out[5:12, 11:20])


def test_middles_are_those_that_gdal_burns() -> None:
    polygons = stars(6, 9)
    shapes = [({"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}, 1) for rings in polygons]
    out = np.zeros(SHAPE, np.uint8)
    mark_middles(Polygons.of(polygons, [1] * 6), 0, 0, out)
    np.testing.assert_array_equal(out, rasterio.features.rasterize(shapes, SHAPE, dtype=np.uint8))


def test_edges_along_pixels_cover_nothing_beyond() -> None:
    box = np.array([(3, 2), (7, 2), (7, 9), (3, 9), (3, 2)], np.float64)
    narrow = np.array([(10.2, 0), (10.4, 0), (10.4, 23), (10.2, 23), (10.2, 0)])
    out = np.zeros(SHAPE, np.uint8)
    mark_covered(Polygons.of([[box], [narrow]], [2, 4]), 0, 0, out)
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[2:9, 3:7], wanted[:, 10] = 2, 4
    np.testing.assert_array_equal(out, wanted)
    out[:] = 0
    mark_middles(Polygons.of([[box], [narrow]], [2, 4]), 0, 0, out)
    wanted[:, 10] = 0  # has no pixel's middle
    np.testing.assert_array_equal(out, wanted)


def test_neighbours_share_no_pixel_and_leave_none() -> None:
    """Two footprints with a slanted edge between them, through pixels' middles."""
    left = np.array([(0, 0), (10.5, 0), (20.5, 20), (0, 20)], np.float64)
    right = np.array([(10.5, 0), (31, 0), (31, 20), (20.5, 20)], np.float64)
    out = np.zeros((20, 31), np.uint8)
    mark_middles(Polygons.of([[left], [right]], [5, 6]), 0, 0, out)
    assert set(np.unique(out)) == {5, 6}
    other = np.zeros((20, 31), np.uint8)
    mark_middles(Polygons.of([[right], [left]], [6, 5]), 0, 0, other)
    np.testing.assert_array_equal(out, other)


def test_no_polygons_at_all() -> None:
    out = np.zeros((3, 4), np.uint8)
    mark_covered(Polygons.of([], []), 0, 0, out)
    mark_middles(Polygons.of([], []), 0, 0, out)
    assert not out.any()


class TestFiles:
    def files(self, folder: Path, masks: dict[str, str]) -> MaskFiles:
        """Listed with their folders, or by their names alone."""
        listed = {}
        for kind, text in masks.items():
            (folder / "QI_DATA").mkdir(parents=True, exist_ok=True)
            if text:
                (folder / "QI_DATA" / f"{kind}_B01.gml").write_text(text)
            listed[kind, "b01"] = f"{kind}_B01"
        return MaskFiles(open_container(folder), "metadata.xml", listed)

    def test_columns_narrower_than_a_pixel_are_defective(self, tmp_path: Path) -> None:
        """As ESA wrote them for 60 m, of which a pixel is three columns of the instrument."""
        files = self.files(tmp_path, dict.fromkeys(KINDS, EMPTY) | {"MSK_DEFECT": HMA})
        assert files.has("quality")
        assert not files.has("detector")
        reader = files.open("quality", "b01", (40, 30), in_image(40, 0))
        found = reader.read(0, 99, 0, 99)
        wanted = np.ones((40, 30), np.uint8)
        wanted[:, 19] |= 1 << 5
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(reader.read(3, 9, 15, 21), wanted[3:9, 15:21])

    def test_lines_of_the_datastrip(self, tmp_path: Path) -> None:
        """The envelope reaches beyond the granule: it is counted from the strip's beginning."""
        text = HMA.replace("20.166667 40.5 20.5 40.5", "20.166667 22.5 20.5 22.5")
        files = self.files(tmp_path, dict.fromkeys(KINDS, EMPTY) | {"MSK_DEFECT": text})
        found = files.open("quality", "b01", (20, 30), in_image(20, 20)).read(0, 20, 0, 30)
        assert (found[:2, 19] == 0b100001).all()
        assert (np.delete(found, 19, axis=1) == 1).all()
        assert (found[2:] == 1).all()

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("QT_DEFECTIVE_PIXELS<", "QT_STRANGE<", r"<maskType> 'QT_STRANGE' of 'qt_defective.*expected one of ANC"),
            ("20.166667 0.5 20.166667 40.5", "0.5", r"<posList> of 7 numbers, 2 a point"),
            ("OGC:1.0:image", "OGC:1.0:sky", "Envelope srsName=.*expected an EPSG code, or image coordinates"),
            ("urn:ogc:def:derivedCRSType:OGC:1.0:image", "urn:cnes:gdlib:projectionType:32614", "EPSG:32614"),
            ("<gml:upperCorner>30 40<", "<gml:upperCorner>30<", "<upperCorner> of 1 numbers"),
        ],
    )
    def test_masks_that_are_wrong(self, tmp_path: Path, old: str, new: str, says: str) -> None:
        assert old in HMA
        files = self.files(tmp_path, dict.fromkeys(KINDS, EMPTY) | {"MSK_DEFECT": HMA.replace(old, new)})
        with pytest.raises(AnnotationError, match=says):
            files.open("quality", "b01", (40, 30), in_image(40, 0))

    def test_a_polygon_without_rings(self) -> None:
        text = HMA[: HMA.index("<gml:exterior>")] + "</gml:Polygon></gml:extentOf>"
        text += HMA[HMA.index("    </hma:MaskFeature>") :]
        with pytest.raises(AnnotationError, match="qt_defective_pixels-0> without rings"):
            read_mask(text.encode(), "mask.gml")

    def test_a_mask_of_another_map(self, tmp_path: Path) -> None:
        files = self.files(tmp_path, dict.fromkeys(KINDS, HMA))
        with pytest.raises(AnnotationError, match="EPSG:None; expected EPSG:32633, as the tile has"):
            files.open("quality", "b01", (40, 30), on_map(32633, 0.0, 0.0, 60.0))

    def test_masks_that_are_not_there(self, tmp_path: Path) -> None:
        files = self.files(tmp_path / "a", dict.fromkeys(KINDS, EMPTY) | {"MSK_SATURA": ""})
        with pytest.raises(MissingMeasurementError, match=r"no file MSK_SATURA_B01; expected the mask that metadata"):
            files.open("quality", "b01", (40, 30), in_image(40, 0))
        files = self.files(tmp_path / "b", dict.fromkeys(KINDS[:3], EMPTY))
        with pytest.raises(MissingAnnotationError, match="no MSK_SATURA of B01 among its masks"):
            files.open("quality", "b01", (40, 30), in_image(40, 0))
        with pytest.raises(MissingAnnotationError, match="no MSK_DETFOO of B01"):
            files.open("detector", "b01", (40, 30), in_image(40, 0))
        files = self.files(tmp_path / "c", {"MSK_QUALIT": ""} | dict.fromkeys(KINDS, EMPTY))
        with pytest.raises(MissingMeasurementError, match="no file MSK_QUALIT_B01"):
            files.open("quality", "b01", (40, 30), in_image(40, 0))
