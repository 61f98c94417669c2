"""Small orbit files in the format of the Copernicus POD service, for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from reference.s1_scene import EPOCH, Scene, true_orbit

TYPES = {"precise": "AUX_POEORB", "restituted": "AUX_RESORB", "predicted": "AUX_PREORB"}


def orbit_name(
    kind: str = "precise", platform: str = "S1A", created_day: int = 25, start_s: float = -400.0, stop_s: float = 400.0
) -> str:
    """A file's name; its validity counts from the scene's first line."""
    start, stop = (_compact(EPOCH + np.timedelta64(round(part), "s")) for part in (start_s, stop_s))
    return f"{platform}_OPER_{TYPES[kind]}_OPOD_202403{created_day:02d}T120000_V{start}_{stop}.EOF"


def orbit_xml(
    scene: Scene,
    kind: str = "precise",
    platform: str = "S1A",
    times_s: np.ndarray | None = None,
    shift_m: float = 0.0,
    not_nominal: tuple[int, ...] = (),
    namespace: str = "",
) -> bytes:
    """The state vectors of a scene's orbit, every 10 s from 400 s before its first line to 400 s after it.

    Vectors whose index is in ``not_nominal`` are flagged so, and 1 km off.
    """
    times = np.arange(-400.0, 401.0, 10.0) + 3.3 if times_s is None else times_s
    position, velocity = true_orbit(scene, times)
    vectors = ""
    for k, (time, p, v) in enumerate(zip(times, position + shift_m, velocity, strict=True)):
        wrong = k in not_nominal
        parts = [*zip("XYZ", p + 1000.0 * wrong, strict=True), *zip(("VX", "VY", "VZ"), v, strict=True)]
        utc = EPOCH + np.timedelta64(round(time * 1e6), "us")
        vectors += (
            f"<OSV><TAI>TAI={utc + np.timedelta64(37, 's')}</TAI><UTC>UTC={utc}</UTC><UT1>UT1={utc}</UT1>"
            "<Absolute_Orbit>+52850</Absolute_Orbit>"
            + "".join(f'<{tag} unit="m">{value:.6f}</{tag}>' for tag, value in parts)
            + f"<Quality>{'DEGRADED' if wrong else 'NOMINAL'}</Quality></OSV>\n"
        )
    return f"""<?xml version="1.0" ?>
<Earth_Explorer_File{namespace}><Earth_Explorer_Header><Fixed_Header>
<Mission>Sentinel-{platform[1:]}</Mission><File_Type>{TYPES[kind]}</File_Type></Fixed_Header>
<Variable_Header><Ref_Frame>EARTH_FIXED</Ref_Frame><Time_Reference>UTC</Time_Reference></Variable_Header>
</Earth_Explorer_Header><Data_Block type="xml"><List_of_OSVs count="{times.size}">
{vectors}</List_of_OSVs></Data_Block></Earth_Explorer_File>
""".encode()


def zipped(path: Path, content: bytes) -> Path:
    """``path`` with ``.zip`` added: an archive of one member."""
    archive = path.with_name(f"{path.name}.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as sink:
        sink.writestr(path.name, content)
    return archive


def _compact(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[s]")).replace("-", "").replace(":", "")
