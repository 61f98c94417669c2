"""Orbit files: what is read of them, which one is taken from a folder, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from figures import tell
from localdev.scene import SceneSpec, make_sentinel1
from orthocontracts.orbits import MARGIN_S
from orthokernel import errors, open_product
from orthokernel.sentinel1.annotation import StateVectors
from orthokernel.sentinel1.orbit import fit_orbit
from orthokernel.sentinel1.orbit_file import read_orbit_file
from orthokernel.sentinel1.orbit_folder import take_orbit
from realdata import real_data
from reference.orbit_files import orbit_name, orbit_xml, zipped
from reference.s1_scene import EPOCH, Scene, small, true_orbit, write_safe

SCENE = Scene()
START = EPOCH
STOP_S = 25.0
STOP = EPOCH + np.timedelta64(25, "s")
DAY = np.timedelta64(1, "D")


def write(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("how", ["plain", "zip", "namespace", "renamed"])
def test_vectors_of_the_scene_and_a_margin(tmp_path: Path, how: str) -> None:
    namespace = ' xmlns="http://eop-cfi.esa.int/CFI"' if how == "namespace" else ""
    content = orbit_xml(SCENE, namespace=namespace)
    path = write(tmp_path, "orbit.xml" if how == "renamed" else orbit_name(), content)
    if how == "zip":
        path = zipped(path, content)
    orbit = read_orbit_file(path, "S1A", START, STOP)
    vectors = orbit.since(EPOCH)
    assert (orbit.kind, orbit.platform, orbit.name) == ("precise", "S1A", path.name)
    assert vectors.time_s[0] == pytest.approx(-96.7)  # every 10 s, 3.3 s after the full ten
    assert vectors.time_s[-1] == pytest.approx(123.3)
    assert vectors.time_s.size == 23
    position, velocity = true_orbit(SCENE, vectors.time_s)
    np.testing.assert_allclose(vectors.position_m, position, atol=1e-6)
    np.testing.assert_allclose(vectors.velocity_m_s, velocity, atol=1e-6)


def test_vectors_that_are_not_nominal_are_left_out(tmp_path: Path) -> None:
    one = write(tmp_path, orbit_name(), orbit_xml(SCENE, not_nominal=(40,)))
    vectors = read_orbit_file(one, "S1A", START, STOP).since(EPOCH)
    assert vectors.time_s.size == 22
    np.testing.assert_allclose(vectors.position_m, true_orbit(SCENE, vectors.time_s)[0], atol=1e-6)
    many = write(tmp_path, orbit_name(), orbit_xml(SCENE, not_nominal=(39, 40, 41)))
    with pytest.raises(errors.OrbitError, match="nominal quality between 2024-03-05T10:20:13") as caught:
        read_orbit_file(many, "S1A", START, STOP)
    assert many.name in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"EARTH_FIXED", b"J2000", "Ref_Frame J2000"),
        (b"Reference>UTC", b"Reference>TAI", "Time_Reference TAI"),
        (b"Sentinel-1A", b"Sentinel-1C", "an orbit of Sentinel-1C"),
        (b"AUX_POEORB", b"AUX_RESORB", "the type that its name says"),
        (b"AUX_POEORB", b"MPL_ORBSCT", "MPL_ORBSCT"),
        (b'count="81"', b'count="82"', "81 complete orbit state vectors of 82"),
        (b"<Quality>", b"<Quantity>", "does not parse"),
        (b"UTC=2024-03-05T10:20:33", b"UTC=2024-13-05T10:20:33", "2024-13-05"),
        (b"<UTC>UTC=2024-03-05T10:2", b"<UTC>2024-03-05T10:2", "without a UTC time"),
        (b'<X unit="m">', b'<X unit="m">x', "finite number"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    content = orbit_xml(SCENE)
    assert old in content
    path = write(tmp_path, orbit_name(), content.replace(old, new))
    with pytest.raises(errors.KernelError, match=says) as caught:
        read_orbit_file(path, "S1A", START, STOP)
    assert path.name in str(caught.value)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = orbit_xml(SCENE).replace(b" ?>", b' ?><!DOCTYPE a [<!ENTITY b "c">]>', 1)
    with pytest.raises(errors.UnsafeXmlError):
        read_orbit_file(write(tmp_path, orbit_name(), bomb), "S1A", START, STOP)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    content = orbit_xml(SCENE)
    path = write(tmp_path, orbit_name(), content[: round(share * len(content))])
    with pytest.raises((errors.OrbitError, errors.MalformedXmlError), match=path.name):
        read_orbit_file(path, "S1A", START, STOP)
    archive = zipped(path, content)
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(errors.OrbitError, match="zip"):
        read_orbit_file(archive, "S1A", START, STOP)


def test_a_file_that_ends_in_the_scene_is_refused(tmp_path: Path) -> None:
    """A polynomial would go on somewhere: it must not."""
    path = write(tmp_path, "short.EOF", orbit_xml(SCENE, times_s=np.arange(-400.0, 11.0, 10.0)))
    with pytest.raises(errors.OrbitError, match="no state vector of nominal quality between 2024-03-05T10:20:40"):
        read_orbit_file(path, "S1A", START, STOP)
    with pytest.raises(errors.OrbitError, match="no state vector"):
        read_orbit_file(path, "S1A", START + DAY, STOP + DAY)


def test_the_best_file_of_a_folder_is_taken(tmp_path: Path) -> None:
    """Each is shifted by its own number of metres, so that the vectors say which file they are from."""
    names = {
        1.0: ("predicted", orbit_name("predicted", created_day=5)),
        2.0: ("restituted", orbit_name("restituted", created_day=28)),
        3.0: ("precise", orbit_name(created_day=26)),
        4.0: ("precise", orbit_name(created_day=27)),
        5.0: ("precise", orbit_name(created_day=29, stop_s=STOP_S + MARGIN_S - 1.0)),
        6.0: ("precise", orbit_name(created_day=29, start_s=1.0 - MARGIN_S)),
    }
    for shift_m, (kind, name) in names.items():
        folder = tmp_path / f"year/{shift_m:g}"
        write(folder, name, orbit_xml(SCENE, kind, shift_m=shift_m))
    write(tmp_path, orbit_name(platform="S1B", created_day=29), orbit_xml(SCENE, platform="S1B"))
    write(tmp_path, "notes.EOF", b"no orbit file")
    write(tmp_path, orbit_name().replace("V2024", "V2099"), b"an impossible validity")
    order = []
    for _ in range(4):
        orbit = take_orbit(tmp_path, "S1A", START, STOP)
        found_m = float(np.mean(orbit.position_m - true_orbit(SCENE, orbit.since(EPOCH).time_s)[0]))
        order.append(round(found_m))
        kind, name = names[float(order[-1])]
        assert (orbit.kind, orbit.name) == (kind, name)
        (tmp_path / f"year/{found_m:.0f}" / name).unlink()
    assert order == [4, 3, 2, 1]
    with pytest.raises(errors.OrbitError, match="4 orbit files, 3 of them of S1A") as caught:
        take_orbit(tmp_path, "S1A", START, STOP)
    assert "AUX_POEORB" in str(caught.value)
    assert "2024-03-05T10:20:30" in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.OrbitError, match="no such file or folder"):
        take_orbit(tmp_path / "nowhere", "S1A", START, STOP)
    with pytest.raises(errors.OrbitError, match="0 orbit files, 0 of them of S1C"):
        take_orbit(tmp_path, "S1C", START, STOP)


def test_a_product_takes_its_orbit_and_says_so(tmp_path: Path) -> None:
    safe = write_safe(tmp_path / "product", small())
    orbits = tmp_path / "orbits"
    path = write(orbits, orbit_name("restituted"), orbit_xml(small(), "restituted"))
    point = (20.0, 30.0, 100.0)
    with open_product(safe) as annotated, open_product(safe, orbits) as folder, open_product(safe, path) as file:
        assert annotated.properties()["orbit_source"] == {"kind": "annotation", "file": None}
        for product in (folder, file):
            assert product.properties()["orbit_source"] == {"kind": "restituted", "file": path.name}
        places = [product.sensor_model("vh").image_to_ground(*point) for product in (annotated, folder, file)]
    assert places[1] == places[2]
    # the annotated velocities are wrong by a centimetre a second, which turns the zero-Doppler plane
    moved_m = 111e3 * np.hypot(places[0][0] - places[1][0], places[0][1] - places[1][1])
    assert 0.1 < moved_m < 3.0
    with pytest.raises(errors.OrbitError, match="0 orbit files"):
        open_product(safe, tmp_path / "product")


def test_a_full_precise_file_takes_little_time(tmp_path: Path) -> None:
    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=(20, 30), orbit_file=True))
    assert scene.orbit_path is not None
    start = np.datetime64("2024-03-10T05:11:22")
    spent_s = []
    for _ in range(5):
        before = time.process_time()
        orbit = take_orbit(tmp_path, "S1A", start, start + np.timedelta64(25, "s"))
        spent_s.append(time.process_time() - before)
    assert orbit.time_utc.size == 23
    tell("Precise orbit file (9361 vectors) found and read, best of 5, ms", 1e3 * min(spent_s), "50")
    assert min(spent_s) < 0.05


@pytest.mark.real
def test_polynomials_meet_the_vectors_they_were_not_fitted_to() -> None:
    """Every second vector of a real restituted orbit, over three minutes and over an EW datatake."""
    path = next(real_data("sentinel1", "orbits").glob("*RESORB*.EOF"))
    start, stop = np.datetime64("2023-08-23T14:12:10"), np.datetime64("2023-08-23T17:26:00")
    whole = take_orbit(path.parent, "S1A", start, stop)
    assert (whole.kind, whole.name) == ("restituted", path.name)
    vectors = whole.since(start)
    assert vectors.time_s.size == 1183
    np.testing.assert_allclose(np.linalg.norm(vectors.position_m, axis=1), 7.07e6, atol=2.5e4)
    for length_s in (0.0, 60.0):
        worst_m = worst_m_s = 0.0
        for scene_s in np.arange(100.0, 11_000.0, 137.0):
            near = np.abs(vectors.time_s - scene_s - length_s / 2) <= length_s / 2 + MARGIN_S
            used = np.flatnonzero(near)
            left_out = used[3:-3:2]
            kept = np.setdiff1d(used, left_out)
            orbit = fit_orbit(
                StateVectors(vectors.time_s[kept], vectors.position_m[kept], vectors.velocity_m_s[kept]),
                scene_s,
                scene_s + length_s,
            )
            u = (vectors.time_s[left_out] - orbit.centre_s) / orbit.half_span_s
            powers = np.vander(u, orbit.position_m.shape[0], increasing=True)
            worst_m = max(worst_m, np.abs(powers @ orbit.position_m - vectors.position_m[left_out]).max())
            worst_m_s = max(worst_m_s, np.abs(powers @ orbit.velocity_m_s - vectors.velocity_m_s[left_out]).max())
        tell(f"Restituted orbit, scene of {length_s:.0f} s: vectors left out of the fit, worst, mm", 1e3 * worst_m, "1")
        assert worst_m < 1e-3
        assert worst_m_s < 1e-5
