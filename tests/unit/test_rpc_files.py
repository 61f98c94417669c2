"""Where RPC come from: tags, text files, DIMAP; crops; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.rpc import RPC

from orthokernel.errors import ProductError, RpcError, TruncatedRasterError, UnknownBandError, UnsafeXmlError
from orthokernel.product import open_product
from orthokernel.rpc import RpcCoefficients, RpcImage, open_rpc_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

NUM_LINE = [1e-4, 0.02, -1.0, 0.03, *[k * 1e-5 for k in range(4, 20)]]
NUM_SAMP = [2e-4, 0.98, 0.02, -0.05, *[k * -1e-5 for k in range(4, 20)]]
DEN = [1.0, 1e-3, *[k * 1e-6 for k in range(2, 20)]]
COEFFICIENTS = RpcCoefficients(
    line_off=2110.5,
    line_scale=2200.0,
    samp_off=1920.5,
    samp_scale=2000.0,
    long_off=5.3,
    long_scale=0.13,
    lat_off=44.1,
    lat_scale=0.1,
    height_off=1000.0,
    height_scale=900.0,
    line_num_coeff=tuple(NUM_LINE),
    line_den_coeff=tuple(DEN),
    samp_num_coeff=tuple(NUM_SAMP),
    samp_den_coeff=tuple(DEN),
)


def image(path: Path, *, tags: RpcCoefficients | None = None, bands: int = 1, **more: Any) -> Path:
    rng = np.random.default_rng(0)
    profile = {"driver": "GTiff", "height": 40, "width": 30, "count": bands, "dtype": "uint16", **more}
    if tags is not None:
        profile["rpcs"] = RPC(**{name: _plain(getattr(tags, name)) for name in tags.__dataclass_fields__})
    with rasterio.open(path, "w", **profile) as out:
        out.write(rng.integers(1, 4095, (bands, 40, 30)).astype(np.uint16))
    return path


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def rpc_txt(c: RpcCoefficients) -> str:
    lines = []
    for name in c.__dataclass_fields__:
        value = getattr(c, name)
        if isinstance(value, tuple):
            lines += [f"{name.upper()}_{k}: {v:+.15E}" for k, v in enumerate(value, start=1)]
        else:
            lines.append(f"{name.upper()}: {value:+.10f} {'pixels' if 'line' in name or 'samp' in name else 'degrees'}")
    return "\n".join(lines) + "\n"


def rpb(c: RpcCoefficients) -> str:
    names = {"off": "Offset", "scale": "Scale"}
    body = []
    for name in c.__dataclass_fields__:
        first, *rest = name.split("_")
        value = getattr(c, name)
        if isinstance(value, tuple):
            body.append(f"\t{first}{rest[0].capitalize()}Coef = (\n\t\t\t" + ",\n\t\t\t".join(map(repr, value)) + ");")
        else:
            body.append(f"\t{first}{names[rest[0]]} = {value!r};")
    return (
        'satId = "QB02";\nSpecId = "RPC00B";\nBEGIN_GROUP = IMAGE\n' + "\n".join(body) + "\nEND_GROUP = IMAGE\nEND;\n"
    )


def dimap(c: RpcCoefficients, *, model: str = "Inverse_Model", first: int = 1, extra: str = "", head: str = "") -> str:
    def terms(prefix: str, factor: float) -> str:
        names = ("samp_num_coeff", "samp_den_coeff", "line_num_coeff", "line_den_coeff")
        return "".join(
            f"<{n.upper()}_{k}>{v * factor!r}</{n.upper()}_{k}>"
            for n in names
            for k, v in enumerate(getattr(c, n), start=1)
        )

    scalars = "".join(
        f"<{n.upper()}>{getattr(c, n) + (first if n in ('line_off', 'samp_off') else 0)!r}</{n.upper()}>"
        for n in c.__dataclass_fields__
        if not n.endswith("coeff")
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<Dimap_Document><Rational_Function_Model><Global_RFM>'
        # The other direction comes first and must not be taken.
        f"<Direct_Model>{terms('', 2.0)}</Direct_Model><{model}>{terms('', 1.0)}</{model}>"
        f"<RFM_Validity>{extra}{scalars}</RFM_Validity></Global_RFM></Rational_Function_Model></Dimap_Document>"
    )


def same(found: RpcCoefficients, wanted: RpcCoefficients) -> bool:
    return bool(
        np.allclose(found.normalisation(), wanted.normalisation(), rtol=1e-9, atol=0)
        and np.allclose(found.polynomials(), wanted.polynomials(), rtol=1e-9, atol=0)
    )


def test_tags(tmp_path: Path) -> None:
    opened = open_product(image(tmp_path / "a.tif", tags=COEFFICIENTS))
    assert isinstance(opened, RpcImage)
    assert same(opened.coefficients, COEFFICIENTS)
    assert opened.rpc_from == "tags"


@pytest.mark.parametrize(("name", "text"), [("a_RPC.TXT", rpc_txt), ("a_rpc.txt", rpc_txt), ("a.RPB", rpb)])
def test_text_files_win_over_tags(tmp_path: Path, name: str, text: Any) -> None:
    path = image(tmp_path / "a.tif", tags=COEFFICIENTS.rebased(first_line=77, first_sample=0))
    (tmp_path / name).write_text(text(COEFFICIENTS))
    opened = open_rpc_image(path)
    assert opened.rpc_from == name
    assert same(opened.coefficients, COEFFICIENTS)


def test_text_files_read_as_gdal_reads_them(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif")
    (tmp_path / "a_RPC.TXT").write_text(rpc_txt(COEFFICIENTS))
    with rasterio.open(path) as source:
        theirs = source.rpcs
    ours = open_rpc_image(path).coefficients
    assert (theirs.line_off, theirs.samp_off) == (ours.line_off, ours.samp_off)
    np.testing.assert_allclose(theirs.samp_num_coeff, ours.samp_num_coeff, rtol=1e-12)


def test_dimap_counts_from_one(tmp_path: Path) -> None:
    path = image(tmp_path / "IMG_X_R1C1.TIF")
    (tmp_path / "RPC_X.XML").write_text(dimap(COEFFICIENTS))
    (tmp_path / "RPC_OTHER.XML").write_text(dimap(COEFFICIENTS.rebased(first_line=9, first_sample=9)))
    opened = open_rpc_image(path)
    assert opened.rpc_from == "RPC_X.XML"
    assert same(opened.coefficients, COEFFICIENTS)


@pytest.mark.parametrize("first", [0, 1])
def test_dimap_3_says_from_what_it_counts(tmp_path: Path, first: int) -> None:
    path = image(tmp_path / "a.tif")
    domain = f"<FIRST_ROW>{first}</FIRST_ROW><FIRST_COL>{first}</FIRST_COL>"
    extra = f"<ImagetoGround_Validity_Domain>{domain}</ImagetoGround_Validity_Domain>"
    text = dimap(COEFFICIENTS, model="GroundtoImage_Values", first=first, extra=extra)
    (tmp_path / "RPC_Y.XML").write_text(text)
    assert same(open_rpc_image(path).coefficients, COEFFICIENTS)


def test_crops_are_moved_by_their_geotransform(tmp_path: Path) -> None:
    path = image(tmp_path / "crop.tif", transform=Affine(1, 0, 1900, 0, 1, 2100))
    (tmp_path / "RPC_Z.XML").write_text(dimap(COEFFICIENTS))
    model = open_rpc_image(path).sensor_model()
    assert (model.coefficients.line_off, model.coefficients.samp_off) == pytest.approx((10.5, 20.5))
    assert (model.n_lines, model.n_samples) == (40, 30)


def test_a_georeference_is_no_crop(tmp_path: Path) -> None:
    path = image(tmp_path / "map.tif", tags=COEFFICIENTS, crs="EPSG:32631", transform=Affine(1, 0, 5e5, 0, -1, 4e6))
    assert same(open_rpc_image(path).coefficients, COEFFICIENTS)


def test_pixels_and_facts(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif", tags=COEFFICIENTS, bands=3, nodata=0)
    with open_rpc_image(path) as opened:
        assert opened.bands == ("b1", "b2", "b3")
        assert (opened.mission, opened.id, opened.extra_bands) == ("rpc", "a", ())
        assert opened.calibration("b1") is None
        assert opened.properties()["n_lines"] == 40
        with opened.open_band("b2") as reader, rasterio.open(path) as source:
            expected = source.read(2)
            assert (reader.n_lines, reader.n_samples, reader.dtype, reader.nodata) == (40, 30, np.uint16, 0)
            np.testing.assert_array_equal(reader.read(-5, 10, 20, 99), expected[:10, 20:])
            assert reader.read(40, 50, 0, 30).size == 0
        ring = opened.footprint
        x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
        assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0
        np.testing.assert_allclose(ring[0], ring[-1])
        with pytest.raises(UnknownBandError, match="b1, b2, b3"):
            opened.open_band("vv")


def test_bad_rpc_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif")
    with pytest.raises(RpcError, match="no RPC"):
        open_rpc_image(path)
    with pytest.raises(RpcError, match="no such file"):
        open_rpc_image(path, tmp_path / "absent.xml")
    text = rpc_txt(COEFFICIENTS)
    sidecar = tmp_path / "a_RPC.TXT"
    for broken, says in (
        (text.replace("LINE_OFF:", "LINE_0FF:"), "without LINE_OFF"),
        (text.replace("SAMP_NUM_COEFF_7:", "SAMP_NUM_X_7:"), "19 values of SAMP_NUM_COEFF"),
        (text.replace("LAT_SCALE: +0.1", "LAT_SCALE: -0.1"), "LAT_SCALE -0.1"),
        (text.replace("LAT_OFF: +44.1", "LAT_OFF: +444.1"), "LAT_OFF 444.1"),
        (text.replace("LINE_DEN_COEFF_1: +1.0", "LINE_DEN_COEFF_1: nan"), "finite"),
        (text.replace("LINE_DEN_COEFF_1: +1.0", "LINE_DEN_COEFF_1: +0.0"), "zero first term"),
        (text.replace("SAMP_OFF: +1920.5", "SAMP_OFF: +9999920.5"), "do not reach"),
    ):
        sidecar.write_text(broken)
        with pytest.raises(RpcError, match=says):
            open_rpc_image(path)


def test_unsafe_and_ambiguous_dimap_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif")
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]>'
    (tmp_path / "RPC_1.XML").write_text(dimap(COEFFICIENTS, head=bomb))
    with pytest.raises(UnsafeXmlError):
        open_rpc_image(path)
    (tmp_path / "RPC_1.XML").write_text("<Dimap_Document/>")
    with pytest.raises(RpcError, match="ground to image"):
        open_rpc_image(path)
    (tmp_path / "RPC_2.XML").write_text(dimap(COEFFICIENTS))
    with pytest.raises(RpcError, match="2 RPC"):
        open_rpc_image(path)
    assert same(open_rpc_image(path, tmp_path / "RPC_2.XML").coefficients, COEFFICIENTS)


def test_a_tile_of_unknown_place_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "IMG_X_R2C1.TIF")
    (tmp_path / "RPC_X.XML").write_text(dimap(COEFFICIENTS))
    with pytest.raises(RpcError, match="tile row 2"):
        open_rpc_image(path)


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = image(tmp_path / "a.tif", tags=COEFFICIENTS)
    content = path.read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(TruncatedRasterError):
        open_rpc_image(cut)
    (tmp_path / "text.jp2").write_text("no raster")
    with pytest.raises(ProductError, match="not a raster"):
        open_rpc_image(tmp_path / "text.jp2")
    with pytest.raises(ProductError, match="no such file"):
        open_rpc_image(tmp_path / "absent.tif")
