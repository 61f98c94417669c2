"""Opening Sentinel-1 products: folders, zips, names, and every kind of damage."""

from __future__ import annotations

import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from orthokernel import errors
from orthokernel.product import open_product
from orthokernel.sentinel1.raster import GdalReader, RowReader
from reference import s1_scene
from reference.s1_scene import Scene, members, small, write_safe

SCENE = small()
MEASUREMENT = f"measurement/{SCENE.stem(0)}.tiff"
ANNOTATION = f"annotation/{SCENE.stem(0)}.xml"


def write_zip(
    folder: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED, root: str = f"{SCENE.name}.SAFE/"
) -> Path:
    path = folder / f"{SCENE.name}.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, data in content.items():
            archive.writestr(root + member, data)
    return path


def image_bytes(pixels: np.ndarray, **profile: object) -> bytes:
    """An image file written by GDAL, which warns that it has no map geometry; our readers must not."""
    count, height, width = pixels.shape
    with warnings.catch_warnings(), rasterio.MemoryFile() as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(width=width, height=height, count=count, dtype=pixels.dtype, **profile) as dataset:
            dataset.write(pixels)
        return bytes(file.read())


def png(height: int, width: int) -> bytes:
    return image_bytes(np.arange(3 * height * width, dtype=np.uint8).reshape(3, height, width), driver="PNG")


@pytest.mark.parametrize("how", ["folder", "manifest", "stored zip", "deflated zip", "zip without root"])
def test_every_container_gives_the_same_product(how: str, tmp_path: Path) -> None:
    if how in {"folder", "manifest"}:
        path = write_safe(tmp_path, SCENE) / ("manifest.safe" if how == "manifest" else "")
    else:
        method = zipfile.ZIP_DEFLATED if how == "deflated zip" else zipfile.ZIP_STORED
        path = write_zip(tmp_path, members(SCENE), method, **({"root": ""} if how == "zip without root" else {}))
    with open_product(path) as product:
        assert product.id == SCENE.name
        assert (product.mission, product.bands, product.extra_bands) == ("sentinel-1", ("vv", "vh"), ())
        assert product.start_time == datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC)
        facts = product.properties()
        assert facts["platform"] == "sentinel-1a"
        assert (facts["ipf_version"], facts["relative_orbit"], facts["datatake_id"]) == ("003.71", 103, 419252)
        assert facts["orbit_direction"] == "ascending"
        for index, band in enumerate(product.bands):
            with product.open_band(band) as reader:
                assert isinstance(reader, RowReader)
                assert (reader.n_lines, reader.n_samples, reader.nodata) == (120, 90, 0.0)
                expected = s1_scene.pixels(SCENE, index)
                assert np.array_equal(reader.read(-7, 500, -3, 500), expected)
                assert np.array_equal(reader.read(100, 130, 20, 40), expected[100:, 20:40])
                assert reader.read(200, 300, 0, 5).shape == (0, 5)
                assert reader.read(5, 3, 95, 99).shape == (0, 0)


@pytest.mark.parametrize("mission", ["S1A", "S1B", "S1C", "S1D"])
@pytest.mark.parametrize(("mode", "polarisations"), [("IW", ("vv",)), ("EW", ("hh", "hv")), ("S3", ("hh",))])
def test_names_of_all_satellites_and_modes(
    mission: str, mode: str, polarisations: tuple[str, ...], tmp_path: Path
) -> None:
    product = open_product(
        write_safe(tmp_path, small(mission=mission, mode=mode, polarisations=polarisations, argument_deg=135.0))
    )
    assert product.bands == polarisations
    facts = product.properties()
    assert (facts["platform"], facts["mode"], facts["swath"], facts["orbit_direction"]) == (
        f"sentinel-1{mission[-1].lower()}",
        "SM" if mode == "S3" else mode,
        mode,
        "descending",
    )
    assert facts["resolution_class"] == "high"
    assert product.sensor_model().n_lines == 120


def test_footprint_is_an_anticlockwise_ring_around_the_image(tmp_path: Path) -> None:
    for scene in (SCENE, small(argument_deg=135.0)):
        product = open_product(write_safe(tmp_path, scene))
        ring = product.footprint
        assert np.array_equal(ring[0], ring[-1])
        x, y = (ring - ring[0]).T
        assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0
        corner = product.sensor_model(slant_to_ground="nearest").image_to_ground(0.0, 89.0, 0.0)
        assert np.abs(ring - np.array(corner)).max(axis=1).min() < 1e-6


def test_compressed_and_cog_measurements_are_read_through_gdal(tmp_path: Path) -> None:
    root = write_safe(tmp_path, small(polarisations=("vv",)))
    expected = s1_scene.pixels(SCENE)
    plain = root / MEASUREMENT
    plain.unlink()
    cog = root / MEASUREMENT.replace(".tiff", "-cog.tiff")
    cog.write_bytes(
        image_bytes(expected[None], driver="GTiff", compress="deflate", tiled=True, blockxsize=32, blockysize=32)
    )
    with open_product(root) as product, product.open_band("vv") as reader:
        assert isinstance(reader, GdalReader)
        assert reader.nodata == 0.0
        assert np.array_equal(reader.read(-1, 121, 3, 91), expected[:, 3:])
        assert reader.read(500, 600, 0, 9).shape == (0, 9)
        whole = cog.read_bytes()
    cog.write_bytes(whole[:-100])
    with pytest.raises(errors.TruncatedRasterError):
        open_product(root)


@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_threads_share_a_reader(compress: str, tmp_path: Path) -> None:
    root = write_safe(tmp_path, small(polarisations=("vv",)))
    expected = s1_scene.pixels(SCENE)
    if compress == "zstd":
        (root / MEASUREMENT).write_bytes(image_bytes(expected[None], driver="GTiff", compress="zstd"))
    together = threading.Barrier(4)

    def read_rows(first: int) -> bool:
        together.wait(10)
        return all(
            np.array_equal(reader.read(line, line + 9, first, 90), expected[line : line + 9, first:])
            for line in range(0, 120, 3)
        )

    with open_product(root) as product, product.open_band("vv") as reader, ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read_rows, range(4)))
    with pytest.raises(ValueError, match="after close"):
        reader.read(0, 1, 0, 1)


def test_big_endian_measurement_is_read_in_native_order(tmp_path: Path) -> None:
    root = write_safe(tmp_path, small(polarisations=("vv",)))
    expected = s1_scene.pixels(SCENE)
    (root / MEASUREMENT).write_bytes(image_bytes(expected[None], driver="GTiff", ENDIANNESS="BIG", blockysize=1))
    with open_product(root) as product, product.open_band("vv") as reader:
        assert isinstance(reader, RowReader)
        found = reader.read(0, 120, 0, 90)
        assert found.dtype.isnative
        assert np.array_equal(found, expected)


def test_quicklook_is_an_extra_band(tmp_path: Path) -> None:
    content = members(SCENE) | {"preview/quick-look.png": png(12, 9)}
    with open_product(write_zip(tmp_path, content)) as product:
        assert (product.bands, product.extra_bands) == (("vv", "vh"), ("quicklook",))
        model = product.sensor_model("quicklook")
        assert (model.n_lines, model.n_samples) == (12, 9)
        assert product.calibration("quicklook") is None
        with product.open_band("quicklook") as reader:
            assert np.array_equal(reader.read(2, 99, 3, 99), np.arange(108, dtype=np.uint8).reshape(12, 9)[2:, 3:])
    for size in (60, len(content["preview/quick-look.png"]) - 5, 3):
        damaged = content | {"preview/quick-look.png": content["preview/quick-look.png"][:size]}
        with (
            open_product(write_zip(tmp_path, damaged)) as product,
            pytest.raises(errors.TruncatedRasterError, match="quick-look"),
        ):
            product.open_band("quicklook")


def test_scratch_of_a_deflated_zip_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = write_zip(tmp_path, members(SCENE), zipfile.ZIP_DEFLATED)
    with open_product(path) as product:
        assert not list(scratch.iterdir()), "nothing is inflated before pixels are wanted"
        for _ in range(2):
            product.open_band("vv").close()
        assert len(list(scratch.glob("*/*"))) == 1
    assert not list(scratch.iterdir())


def without(member: str) -> dict[str, bytes]:
    return {name: data for name, data in members(SCENE).items() if name != member}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"manifest.safe": None}, errors.MissingAnnotationError, "manifest.safe"),
        ({ANNOTATION: None}, errors.MissingAnnotationError, "without annotation"),
        ({ANNOTATION: b"<product><adsHeader>"}, errors.MalformedXmlError, "does not parse"),
        ({ANNOTATION: b""}, errors.MalformedXmlError, "does not parse"),
        ({ANNOTATION: b"<product/>"}, errors.AnnotationError, "adsHeader"),
        (
            {ANNOTATION: b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><product>&d;</product>'},
            errors.UnsafeXmlError,
            "DTDForbidden",
        ),
        ({"manifest.safe": b'<!DOCTYPE a SYSTEM "http://nowhere.invalid/x.dtd"><a/>'}, errors.UnsafeXmlError, "DTD"),
        ({MEASUREMENT: members(SCENE)[MEASUREMENT][:-1]}, errors.TruncatedRasterError, "last pixels"),
        ({MEASUREMENT: members(SCENE)[MEASUREMENT][:300]}, errors.TruncatedRasterError, "directory"),
        ({MEASUREMENT: members(SCENE)[MEASUREMENT][:5]}, errors.ProductError, "not a TIFF"),
        ({MEASUREMENT: b""}, errors.ProductError, "not a TIFF"),
    ],
)
def test_damage_is_found_when_the_product_is_opened(
    change: dict[str, bytes | None], error: type[Exception], message: str, zipped: bool, tmp_path: Path
) -> None:
    content = {name: data for name, data in (members(SCENE) | change).items() if data is not None}
    if zipped:
        path = write_zip(tmp_path, content)
    else:
        path = tmp_path / f"{SCENE.name}.SAFE"
        for name, data in content.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    with pytest.raises(error, match=message) as caught:
        open_product(path)
    assert SCENE.name in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    product = open_product(write_zip(tmp_path, without(MEASUREMENT)))
    with pytest.raises(errors.MissingMeasurementError, match="vv"):
        product.open_band("vv")
    product.open_band("vh").close()
    only_metadata = {name: data for name, data in members(SCENE).items() if not name.startswith("measurement")}
    with pytest.raises(errors.MissingMeasurementError):
        open_product(write_zip(tmp_path, only_metadata))
    calibration = f"annotation/calibration/calibration-{SCENE.stem(0)}.xml"
    with pytest.raises(errors.MissingAnnotationError, match="calibration of vv"):
        open_product(write_zip(tmp_path, without(calibration))).calibration("vv")
    for what in (product.open_band, product.sensor_model, product.calibration):
        with pytest.raises(errors.UnknownBandError, match="vv, vh"):
            what("hh")


def test_measurement_of_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    content = members(SCENE) | {MEASUREMENT: s1_scene.plain_tiff(np.ones((120, 91), np.uint16))}
    with open_product(write_zip(tmp_path, content)) as product, pytest.raises(errors.AnnotationError, match="120 x 91"):
        product.open_band("vv")


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/evil", "a/../../evil", "..\\evil", "\\evil", "C:/evil"])
def test_zip_that_climbs_out_is_refused(name: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path, members(SCENE))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(errors.UnsafeArchiveError, match="evil"):
        open_product(path)


def test_zip_with_a_link_or_a_password_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path, members(SCENE))
    link = zipfile.ZipInfo(f"{SCENE.name}.SAFE/measurement/link.tiff")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, b"/etc/hostname")
    with pytest.raises(errors.UnsafeArchiveError, match="link"):
        open_product(path)
    path = write_zip(tmp_path, members(SCENE))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1  # the encryption flag of the first directory entry
    path.write_bytes(content)
    with pytest.raises(errors.UnsupportedProductError, match="encrypted"):
        open_product(path)


def test_truncated_or_corrupt_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path, members(SCENE), zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    for size in (len(whole) // 2, 100, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(errors.CorruptArchiveError):
            open_product(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        middle = {
            info.filename.split("/", 1)[1]: info.header_offset + info.compress_size // 2 for info in archive.filelist
        }

    def damage(member: str) -> None:
        content = bytearray(whole)
        content[middle[member] + 100] ^= 0xFF  # 100: the local header is about that long
        path.write_bytes(content)

    damage(ANNOTATION)
    with pytest.raises(errors.CorruptArchiveError, match="annotation"):
        open_product(path)
    damage(MEASUREMENT)
    with open_product(path) as product, pytest.raises(errors.CorruptArchiveError, match="measurement"):
        product.open_band("vv")


def test_what_is_not_supported_is_said_plainly(tmp_path: Path) -> None:
    slc = {name.replace("-grd-", "-slc-"): data for name, data in members(SCENE).items()}
    with pytest.raises(errors.UnsupportedProductError, match="SLC"):
        open_product(write_zip(tmp_path, slc))
    with pytest.raises(errors.ProductError, match="no such file"):
        open_product(tmp_path / "nothing.SAFE")
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.UnsupportedProductError, match="GRD"):
        open_product(tmp_path / "folder")
    (tmp_path / "S2A_MSIL1C_20200816T112121_N0209_R037_T28SCA_20200816T120000.SAFE").mkdir()
    with pytest.raises(errors.MissingAnnotationError, match="MTD_MSIL1C"):
        open_product(tmp_path / "S2A_MSIL1C_20200816T112121_N0209_R037_T28SCA_20200816T120000.SAFE")
    other = {"manifest.safe": members(SCENE)["manifest.safe"].replace(b"SENTINEL-1", b"SENTINEL-2")}
    with pytest.raises(errors.UnsupportedProductError, match="SENTINEL-2"):
        open_product(write_zip(tmp_path, other))


def test_calibration_vectors_share_one_sample_axis(tmp_path: Path) -> None:
    table = open_product(write_safe(tmp_path, Scene(n_lines=20, n_samples=1500))).calibration("vv")
    assert table is not None
    assert table.lines.tolist() == [0, 800, 1700]
    assert table.samples.tolist() == [0, 374, 748, 1122, 1499]
    expected = 100.0 + table.lines[:, None] / 10.0 + table.samples / 100.0
    for radiometry, extra in (("sigma0", 0.0), ("beta0", 10.0), ("gamma0", 20.0), ("dn", 30.0)):
        assert np.abs(table.lut(radiometry) - expected - extra).max() < 1e-9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"<line>800<", b"<line>1900<", "order"),
        (b"<pixel>0 44 ", b"<pixel>0 44 45 ", "one for each pixel"),
        (b"<sigmaNought>100.0 ", b"<sigmaNought>0.0 ", "not positive"),
        (b"calibrationVector>", b"vector>", "no calibration vectors"),
    ],
)
def test_calibration_that_makes_no_sense_is_refused(old: bytes, new: bytes, message: str, tmp_path: Path) -> None:
    name = f"annotation/calibration/calibration-{SCENE.stem(0)}.xml"
    content = members(SCENE)
    assert old in content[name]
    content[name] = content[name].replace(old, new)
    with pytest.raises(errors.AnnotationError, match=message):
        open_product(write_zip(tmp_path, content)).calibration("vv")
