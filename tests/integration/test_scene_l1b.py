"""The simulator of Sentinel-2 L1B: its geometry is its own, and is the kernel's and ESA's all the same."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyproj
import pytest
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, RotationSpline

from figures import tell
from localdev.scene import Sentinel2L1BProduct, Sentinel2L1BSpec, make_sentinel2_l1b
from localdev.scene.__main__ import main
from localdev.scene.earth import EarthPose, itrf_from_eme2000
from localdev.scene.flight import about, quaternion_of
from localdev.scene.msi import LINE_PERIOD_S, MSI_BANDS, Correction, Directions, Mounting, Mountings, Refining
from localdev.scene.msi_camera import MsiCamera
from orthokernel import Grid, Terrain, open_product, orthorectify
from orthokernel.sentinel2.l1b import L1BProduct
from orthokernel.sentinel2.pushbroom import PushbroomModel
from realdata import real_data

pytestmark = pytest.mark.parallel

Float64Array = NDArray[np.float64]
AGREE_DEG = 1e-8
"""1 mm; reached is a fifth of it. What is left are the kernel's tables, straight lines between rows 1.6 ms apart."""


@pytest.fixture(autouse=True)
def _images_without_georeference() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sentinel2L1BProduct:
    spec = Sentinel2L1BSpec(
        tmp_path_factory.mktemp("l1b"), platform="S2C", bands=("B02", "B03", "B05", "B01", "B11"), seed=3
    )
    return make_sentinel2_l1b(spec)


def models(product: Sentinel2L1BProduct) -> Iterator[tuple[MsiCamera, PushbroomModel]]:
    with open_product(product.path) as opened:
        assert isinstance(opened, L1BProduct)
        for (band, detector), camera in product.cameras.items():
            yield camera, opened.sensor_model(band, detector=detector)


def compare(product: Sentinel2L1BProduct) -> tuple[float, float]:
    """Worst differences in degrees from image to ground, and in pixels of 10 m back."""
    rng = np.random.default_rng(5)
    off_deg, off_px = 0.0, 0.0
    for camera, model in models(product):
        assert (model.n_lines, model.n_samples) == (camera.n_lines, camera.n_samples)
        line = rng.uniform(-40, camera.n_lines + 40, 300)
        sample = rng.uniform(-4, camera.n_samples + 3, 300)
        height = rng.uniform(-400, 8800, 300)
        ours = np.array(camera.image_to_ground(line, sample, height))
        off_deg = max(off_deg, np.abs(ours - model.image_to_ground(line, sample, height)).max())
        there = np.array(model.ground_to_smooth(*ours, height))
        off_px = max(off_px, np.abs(there - [line, sample]).max() * camera.band.per_pixel)
        np.testing.assert_allclose(camera.ground_to_image(*ours, height), [line, sample], atol=2e-8)
    return off_deg, off_px


class TestTheKernelOnWhatIsWritten:
    def test_lines_of_sight_agree(self, made: Sentinel2L1BProduct) -> None:
        """All bands and detectors, also beyond the image, from under the sea to the highest mountain."""
        off_deg, off_px = compare(made)
        tell("Simulated Sentinel-2 L1B, kernel against simulator, worst, degrees", off_deg, "within 1e-8")
        assert off_deg < AGREE_DEG
        assert off_px < 1e-4

    @pytest.mark.parametrize(
        "change",
        [
            {"refined": True},
            {"ascending": True, "centre_lonlat_deg": (179.99, -33.0)},
            {"detectors": ("11", "12"), "centre_lonlat_deg": (24.0, 71.0), "wobble_rad": 0.0},
            {"mountings": Mountings(detectors={("VNIR", "06"): Mounting((0.1, -0.2, 0.3))})},
        ],
        ids=["refined", "ascending over the antimeridian", "swath edge in the north", "a detector askew"],
    )
    def test_elsewhere_and_otherwise(self, tmp_path: Path, change: dict[str, object]) -> None:
        spec = replace(
            Sentinel2L1BSpec(tmp_path, bands=("B02", "B12"), granules=1, granule_lines=60, samples=60, overlap_px=12),
            fractal_seed=None,
            targets=0,
            common_targets=0,
            **change,  # type: ignore[arg-type]
        )
        assert compare(make_sentinel2_l1b(spec))[0] < AGREE_DEG

    def test_refining_moves_the_image(self, tmp_path: Path) -> None:
        """By metres: were it not told or not read, agreement within 1e-8 degrees would end."""
        spec = Sentinel2L1BSpec(
            tmp_path, bands=("B02",), granules=1, granule_lines=60, samples=60, fractal_seed=None, targets=0
        )
        product = make_sentinel2_l1b(replace(spec, refined=True))
        camera = product.cameras["B02", "06"]
        plain = replace(camera, refining=Refining())
        off = np.subtract(camera.image_to_ground(20, 30, 0.0), plain.image_to_ground(20, 30, 0.0))
        assert 1e-5 < np.abs(off).max() < 2e-4


class TestPixels:
    def test_images_are_those_of_the_metadata(self, made: Sentinel2L1BProduct) -> None:
        images = sorted(made.path.glob("GRANULE/*/IMG_DATA/*.jp2"))
        assert len(images) == 5 * 2 * 2
        pattern = r"S2C_OPER_MSI_L1B_GR_DPRM_\d{8}T\d{6}_S\d{8}T\d{6}_D0[67]_B(01|02|03|05|11)\.jp2"
        for path in images:
            assert re.fullmatch(pattern, path.name), path.name
            per_pixel = MSI_BANDS[path.stem[-3:]].per_pixel
            with rasterio.open(path) as image:
                assert (image.height, image.width, image.dtypes) == (396 // per_pixel, 300 // per_pixel, ("uint16",))

    def test_a_pixel_is_the_ground_that_the_kernel_says_it_sees(self, made: Sentinel2L1BProduct) -> None:
        """Far from targets: the texture at the place where the kernel's line of sight meets the DEM, to the count."""
        worst = 0.0
        with open_product(made.path) as product:
            assert isinstance(product, L1BProduct)
            for (band, detector), camera in made.cameras.items():
                line, sample = (g.ravel() for g in np.mgrid[2 : camera.n_lines : 11, 1 : camera.n_samples : 5])
                free = np.ones(line.size, bool)
                for target in made.targets:
                    q, s = camera.ground_to_image(target.lon_deg, target.lat_deg, target.height_m)
                    free &= np.hypot(line - q, sample - s) > 20
                line, sample = line[free], sample[free]
                assert line.size > 20
                model = product.sensor_model(band, detector=detector)
                height = np.full(line.size, 300.0)
                for _ in range(40):
                    lon, lat = model.image_to_ground(line, sample, height)
                    height = 0.5 * (height + made.surface.height(lon, lat))
                with product.open_detector(band, detector) as reader:
                    pixels = reader.read(0, reader.n_lines, 0, reader.n_samples)
                off = pixels[line, sample] - made.textures[band].value(lon, lat)
                worst = max(worst, np.abs(off).max())
        assert worst < 0.6, "half a count of rounding, and lines of sight that go straight for four pixels"

    def test_targets_show_where_the_truth_says(self, made: Sentinel2L1BProduct) -> None:
        """In each band and detector; those in the middle of the overlap in both."""
        worst, count = 0.0, 0
        with open_product(made.path) as product:
            assert isinstance(product, L1BProduct)
            for target in made.targets:
                assert {band for band, _ in target.seen} == set(made.spec.bands)
                for (band, detector), (line, sample) in target.seen.items():
                    with product.open_detector(band, detector) as reader:
                        if not (6 < line < reader.n_lines - 7 and 6 < sample < reader.n_samples - 7):
                            continue
                        q, s = round(line), round(sample)
                        cut = reader.read(q - 3, q + 4, s - 3, s + 4) - made.textures[band].mean
                    weight = np.clip(cut, 0.0, None)
                    rows, columns = np.mgrid[q - 3 : q + 4, s - 3 : s + 4]
                    at = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
                    worst, count = max(worst, abs(at[0] - line), abs(at[1] - sample)), count + 1
        in_both = [target for target in made.targets if {detector for _, detector in target.seen} == {"06", "07"}]
        assert len(made.targets) == 7
        assert len(in_both) >= 1
        assert count > 30
        tell("Simulated Sentinel-2 L1B: point targets in the images, worst, px", worst, "0.02")
        assert worst < 0.02


@pytest.mark.parametrize(("band", "spacing_m"), [("b02", 10), ("b05", 20), ("b01", 60)])
def test_targets_come_out_of_the_kernel_where_they_stand(
    made: Sentinel2L1BProduct, tmp_path: Path, band: str, spacing_m: float
) -> None:
    """Also that in the overlap, through which the cut between the detectors goes."""
    assert made.dem_path is not None
    to_map = pyproj.Transformer.from_crs("OGC:CRS84", 32633, always_xy=True)
    x, y = to_map.transform(*np.array([(target.lon_deg, target.lat_deg) for target in made.targets]).T)
    bounds = (x.min() - 900.0, y.min() - 900.0, x.max() + 900.0, y.max() + 900.0)
    with open_product(made.path) as product:
        orthorectify(
            product,
            Grid.from_bounds(32633, bounds, spacing_m),
            Terrain(made.dem_path, None),
            bands=[band],
            radiometry="dn",
            resampling="bilinear",
            out=tmp_path / "ortho.tif",
        )
    with rasterio.open(tmp_path / "ortho.tif") as image:
        pixels = image.read(1).astype(float) - made.textures[band.upper()].mean
        columns, rows = ~image.transform * (x, y)
    worst = 0.0
    for row, column in zip(rows - 0.5, columns - 0.5, strict=True):
        r, c = round(row), round(column)
        weight = np.clip(pixels[r - 3 : r + 4, c - 3 : c + 4], 0.0, None)
        at = np.mgrid[r - 3 : r + 4, c - 3 : c + 4]
        worst = max(worst, *np.abs((weight * at).sum(axis=(1, 2)) / weight.sum() - [row, column]))
    tell(f"Simulated Sentinel-2 L1B {band}: point targets from their map position, worst, px", worst, "0.1")
    assert worst < 0.05


@dataclass(frozen=True)
class Recorded:
    """A real flight: splines through what its metadata tell."""

    pose: EarthPose
    jd_day: float
    orbit: CubicHermiteSpline
    attitude: RotationSpline
    epoch_s: float

    def position(self, gps_s: ArrayLike) -> Float64Array:
        return np.asarray(self.orbit(np.asarray(gps_s)))

    def to_itrf(self, gps_s: ArrayLike) -> Float64Array:
        time = np.asarray(gps_s, float)
        turn = self.attitude(time.ravel() - self.epoch_s).as_matrix().reshape(*time.shape, 3, 3)
        return np.asarray(itrf_from_eme2000(self.pose, self.jd_day, time) @ turn)


@pytest.mark.real
class TestRealMetadata:
    """The simulator's geometry by itself on the real datastrip of Madeira, against ESA's grids."""

    @pytest.mark.parametrize(("name", "detector"), [("B02", "01"), ("B05", "07"), ("B01", "11"), ("B11", "03")])
    def test_sen2vm_is_met(self, name: str, detector: str) -> None:
        """Splines through the attitudes are not how ESA samples them: up to 0.2 microradians or 1.5e-6 degrees."""
        madeira = real_data("sentinel2/l1b-madeira")
        camera = real_camera(madeira, name, detector)
        grid = sorted((madeira / "reference/Direct").glob(f"*_D{detector}_{name}.tif"))[0]
        step = {10: 600, 20: 300, 60: 100}[camera.band.resolution_m]
        with rasterio.open(grid) as source:
            lon, lat, altitude = source.read()
        rows, columns = np.mgrid[0 : lon.shape[0], 0 : lon.shape[1]]
        ours = camera.image_to_ground(rows * step, columns * step, altitude)
        off_deg = np.abs(np.subtract(ours, [lon, lat])).max()
        tell(f"Simulator's Sentinel-2 geometry against Sen2VM, {name} D{detector}, worst, degrees", off_deg, "2e-6")
        assert lon.size >= 20
        assert off_deg < 2e-6


def real_camera(madeira: Path, name: str, detector: str) -> MsiCamera:
    """From the metadata, read here in a few lines; the first granule of the detector begins at line 0."""
    (path,) = madeira.glob("L1B/DATASTRIP/*/*.xml")
    root = ElementTree.parse(path).getroot()
    day = datetime(2020, 8, 16)
    band = MSI_BANDS[name]

    def text(where: str) -> str:
        found = root.find(f".//{where}")
        assert found is not None, where
        return found.text or ""

    def seconds(written: str) -> float:
        return (datetime.fromisoformat(written.rstrip("Z")) - day).total_seconds()

    def numbers(where: str) -> tuple[float, ...]:
        return tuple(float(part) for part in text(where).split())

    def listed(where: str, what: str) -> tuple[Float64Array, Float64Array]:
        found = {seconds(one.findtext("GPS_TIME", "")): one.findtext(what, "").split() for one in root.iterfind(where)}
        time = np.array(sorted(found))
        return time, np.array([[float(part) for part in found[at]] for at in time])

    points = ".//GPS_Points_List/GPS_Point"
    orbit_s, position = listed(points, "POSITION_VALUES")
    velocity = listed(points, "VELOCITY_VALUES")[1]
    near = (orbit_s > 12 * 3600) & (orbit_s < 13 * 3600)
    attitude_s, quaternions = listed(".//Corrected_Attitudes/Values", "QUATERNION_VALUES")
    flight = Recorded(
        EarthPose(float(text("UT1_UTC")), float(text("POLE_U_ANGLE")), float(text("POLE_V_ANGLE"))),
        2_459_077.5,
        CubicHermiteSpline(orbit_s[near], 1e-3 * position[near], 1e-3 * velocity[near]),
        RotationSpline(attitude_s - attitude_s[0], Rotation.from_quat(quaternions)),
        attitude_s[0],
    )
    tdi = "APPLIED" if name in ("B03", "B04", "B11", "B12") else "NO_TDI"
    (viewing,) = (madeira / "gipp").glob(f"*GIP_VIEDIR*_{name}.xml")
    look = ElementTree.parse(viewing).find(
        f".//VIEWING_DIRECTIONS_LIST[@tdi_config='{tdi}']/VIEWING_DIRECTIONS[@detector_id='{detector}']"
    )
    assert look is not None
    tangents = [np.array(look.findtext(f"TAN_PSI_{axis}_LIST", "").split(), float) for axis in "XY"]
    (model,) = (madeira / "gipp").glob("*GIP_SPAMOD*")
    mounted = ElementTree.parse(model).find(".//PILOTING_TO_MSI_FRAME")
    assert mounted is not None
    rotation = "MSI_State/Rotation"
    angles = tuple(numbers(f"{rotation}/{axis}/COEFFICIENTS") for axis in "XYZ")
    middle = (seconds(text("DATASTRIP_SENSING_START")) + seconds(text("DATASTRIP_SENSING_STOP"))) / 2 + 18.0
    assert float(text("LINE_PERIOD")) == pytest.approx(1e3 * LINE_PERIOD_S)
    return MsiCamera(
        band=band,
        detector=detector,
        n_lines=13_824 // band.per_pixel,
        n_samples=tangents[0].size,
        flight=flight,
        first_line_s=seconds(
            text(f"Band_Time_Stamp[@bandId='{band.number}']/Detector[@detectorId='{detector}']/GPS_TIME")
        ),
        line_period_s=LINE_PERIOD_S * band.per_pixel,
        middle_s=middle,
        directions=Directions(*tangents),
        mountings=Mountings(
            Mounting(tuple(float(mounted.findtext(name, "nan")) for name in ("R1", "R2", "R3"))),  # type: ignore[arg-type]
            {"VNIR": Mounting(), "SWIR": Mounting()},
        ),
        refining=Refining(msi=Correction(angles, numbers("MSI_State/Homothety/Z/COEFFICIENTS"))),  # type: ignore[arg-type]
    )


def test_quaternions_turn_as_matrices_do() -> None:
    rng = np.random.default_rng(2)
    angles = rng.uniform(-np.pi, np.pi, (3, 200))
    matrix = about(0, angles[0]) @ about(1, angles[1]) @ about(2, angles[2])
    np.testing.assert_allclose(Rotation.from_quat(quaternion_of(matrix)).as_matrix(), matrix, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bands": ("B13",)}, "bands B13: expected some of B01"),
        ({"detectors": ("03", "05")}, "detectors 03, 05: expected neighbours"),
        ({"granule_lines": 100}, "a multiple of 6"),
        ({"centre_lonlat_deg": (0.0, 85.0)}, "latitude 85.0 is outside"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make_sentinel2_l1b(replace(Sentinel2L1BSpec(tmp_path), **change))  # type: ignore[arg-type]


def test_the_command_tells_the_truth_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sentinel2-l1b", str(tmp_path), "--json", "--bands", "B04", "--detectors", "03,04", "--granules", "1"]
    arguments += ["--granule-lines", "96", "--samples", "90", "--overlap", "12", "--targets", "1", "--platform", "S2B"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["gipp_path"]).is_dir()
    target = told["targets"][0]
    with open_product(told["path"]) as product:
        assert isinstance(product, L1BProduct)
        assert product.detectors == ("03", "04")
        for seen in target["seen"]:
            model = product.sensor_model(seen["band"], detector=seen["detector"])
            place = target["lon_deg"], target["lat_deg"], target["height_m"]
            np.testing.assert_allclose(model.ground_to_image(*place), [seen["line"], seen["sample"]], atol=1e-4)
