"""RPC and crop offset from a TIFF's first bytes, against rasterio and against the real Pléiades crop."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer

from fakes.products import affine_rpc, rpc_tiff
from orthofunctions.domain.rpc_header import (
    RpcHeaderError,
    footprint_lonlat,
    read_tiff_header,
    rpc_of_dimap,
    rpc_of_text,
)
from orthofunctions.usecases.safexml import parse_xml
from realdata import real_data


def reader(data: bytes):
    return lambda offset, length: data[offset : offset + length]


def rasterio_rpc(values: list[float]) -> RPC:
    return RPC(
        err_bias=values[0],
        err_rand=values[1],
        line_off=values[2],
        samp_off=values[3],
        lat_off=values[4],
        long_off=values[5],
        height_off=values[6],
        line_scale=values[7],
        samp_scale=values[8],
        lat_scale=values[9],
        long_scale=values[10],
        height_scale=values[11],
        line_num_coeff=values[12:32],
        line_den_coeff=values[32:52],
        samp_num_coeff=values[52:72],
        samp_den_coeff=values[72:92],
    )


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_tiff_dialect_reads_the_same(order: str, big: bool) -> None:
    header = read_tiff_header(reader(rpc_tiff(affine_rpc(), 300, 400, order=order, big=big)))
    assert (header.n_lines, header.n_samples) == (300, 400)
    assert header.rpc is not None
    assert header.rpc.lat_off == 44.2
    assert header.rpc.samp_num[1] == 1.0
    assert (header.first_line, header.first_sample) == (0.0, 0.0)


def test_a_file_written_by_gdal_has_the_same_footprint_as_gdal_says(tmp_path: Path) -> None:
    values = affine_rpc(half_px=100.0)
    values[13 + 4], values[53 + 6], values[33] = 0.01, -0.02, 0.005  # bend it, so that order of terms matters
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "width": 220, "height": 180, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, rpcs=rasterio_rpc(values)) as image:
        image.write(np.zeros((1, 180, 220), np.uint8))
    header = read_tiff_header(reader(path.read_bytes()))
    assert header.rpc is not None
    ring = footprint_lonlat(header, header.rpc)
    with RPCTransformer(rasterio_rpc(values)) as transformer:
        # corner order: upper left, upper right, lower right, lower left; GDAL's rows and columns count from the corner
        rows, cols = [0, 0, 180, 180], [0, 220, 220, 0]
        xs, ys = transformer.xy(rows, cols, zs=[500.0] * 4, offset="ul")
    # GDAL stops at a tenth of a pixel, 1e-5 degree here; half a pixel would be 5e-5
    np.testing.assert_allclose(np.array(ring)[::2], np.column_stack([xs, ys]), atol=1e-5)


def test_the_real_crop_lies_where_the_data_notes_say() -> None:
    image = real_data("rpc", "ventoux", "left_image.tif")
    document = next(image.parent.glob("RPC_*.XML"))
    header = read_tiff_header(reader(image.read_bytes()))
    assert (header.first_line, header.first_sample) == (5000.0, 5000.0)
    assert header.rpc is None
    rpc = rpc_of_dimap(parse_xml(document.read_bytes(), document.name))
    assert rpc.line_off == pytest.approx(21109.5)  # 21110.5 in the file, whose first pixel is 1
    centre = rpc.lonlat(5000 + 249.5, 5000 + 249.5, 521.0)
    assert centre == pytest.approx((5.19503, 44.20697), abs=2e-5)


def test_a_text_sidecar_reads_as_the_tag_does() -> None:
    header = read_tiff_header(reader(rpc_tiff(affine_rpc())))
    names = ("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF")
    names += ("LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE")
    values = affine_rpc()
    lines = [f"{name}: {value:+.10f} pixels" for name, value in zip(names, values[2:12], strict=True)]
    for start, name in ((12, "LINE_NUM"), (32, "LINE_DEN"), (52, "SAMP_NUM"), (72, "SAMP_DEN")):
        lines += [f"{name}_COEFF_{n + 1}: {values[start + n]:.9E}" for n in range(20)]
    assert rpc_of_text("\n".join(lines)) == header.rpc
    geom = [re.sub(r"_COEFF_(\d+)", lambda m: f"_coeff_{int(m[1]) - 1:02d}", line).lower() for line in lines]
    assert rpc_of_text("\n".join(geom)) == header.rpc
    scalars = zip(names, values[2:12], strict=True)
    rpb = [f"  {name.replace('_OFF', '_OFFSET').replace('_', '')} = {value};" for name, value in scalars]
    for start, name in ((12, "lineNum"), (32, "lineDen"), (52, "sampNum"), (72, "sampDen")):
        terms = ",\n".join(f"    {value:.9E}" for value in values[start : start + 20])
        rpb.append(f"  {name}Coef = (\n{terms});")
    assert rpc_of_text('satId = "QB";\nBEGIN_GROUP = IMAGE\n' + "\n".join(rpb)) == header.rpc
    with pytest.raises(RpcHeaderError, match="no SAMP_DEN_COEFF_20"):
        rpc_of_text("\n".join(lines[:-1]))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "does not begin as a TIFF"),
        (b"PK\x03\x04" + bytes(20), "does not begin as a TIFF"),
        (rpc_tiff(affine_rpc())[:60], "cut off"),
        (rpc_tiff(affine_rpc())[:12], "cut off"),
        (rpc_tiff(affine_rpc()[:50]), "50 of 92"),
        (rpc_tiff([*affine_rpc()[:7], 0.0, *affine_rpc()[8:]]), "scale that is not positive"),
        (rpc_tiff([float("nan")] * 92), "not finite"),
        (rpc_tiff(None, 0, 4), "0 x 4 pixels"),
    ],
)
def test_broken_headers_say_what_was_found(data: bytes, found: str) -> None:
    with pytest.raises(RpcHeaderError, match=re.escape(found)):
        read_tiff_header(reader(data))


def test_an_rpc_that_is_no_camera_is_refused_not_looped_on() -> None:
    values = affine_rpc()
    values[12:32] = values[52:72]  # line and sample depend on the same thing: no inverse
    header = read_tiff_header(reader(rpc_tiff(values)))
    assert header.rpc is not None
    with pytest.raises(RpcHeaderError, match="cannot be solved"):
        footprint_lonlat(header, header.rpc)


def test_the_real_geom_file_says_what_the_real_dimap_says() -> None:
    image = real_data("rpc", "ventoux", "left_image.tif")
    rpc = rpc_of_text((image.parent / "left_image.geom").read_text())
    assert rpc.lonlat(5249.5, 5249.5, 521.0) == pytest.approx((5.19503, 44.20697), abs=2e-4)
