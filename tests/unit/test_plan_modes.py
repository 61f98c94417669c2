"""Products of every mode and platform pass the planner's inspection, as a folder and as a zip."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.memory_ports import ManualClock, MemoryBlobs
from localdev.scene import SceneSpec, make_sentinel1
from orthofunctions.domain.faults import UnknownProductError
from orthofunctions.domain.footprints import may_touch, tiles_called_for
from orthofunctions.usecases.inspect import inspect_product


@pytest.mark.parametrize("zip_it", [False, True])
@pytest.mark.parametrize(
    ("make", "pass_ends_with"),
    [
        ({"mode": "EW", "platform": "S1B", "polarisations": ("hh", "hv"), "centre_lonlat_deg": (20.0, 78.0)}, "-EW"),
        ({"mode": "SM", "swath": "S1", "platform": "S1D", "polarisations": ("vv", "vh")}, "-S1"),
        ({"mode": "SM", "swath": "S6", "resolution": "F", "platform": "S1C"}, "-S6"),
    ],
)
def test_a_simulated_product_is_understood(
    make: dict[str, object], pass_ends_with: str, zip_it: bool, tmp_path: Path
) -> None:
    scene = make_sentinel1(SceneSpec(tmp_path, size_lines_samples=(40, 50), zip_it=zip_it, **make))  # type: ignore[arg-type]
    blobs = MemoryBlobs(ManualClock())
    files = [scene.path] if zip_it else [path for path in scene.path.rglob("*") if path.is_file()]
    for path in files:
        blobs.write("products", path.relative_to(tmp_path).as_posix(), path.read_bytes())
    facts = inspect_product(blobs, f"products/{scene.path.name}")
    assert facts.mission == "sentinel-1"
    assert facts.name == scene.path.stem
    assert facts.pass_key is not None
    assert facts.pass_key.endswith(pass_ends_with)
    assert tiles_called_for(facts.footprint_lonlat)
    lon, lat = make.get("centre_lonlat_deg", (12.5, 42.0))  # type: ignore[misc]
    assert may_touch(4326, (lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01), facts.reach_lonlat)


def test_wave_mode_is_refused() -> None:
    with pytest.raises(UnknownProductError, match="not a product name"):
        inspect_product(
            MemoryBlobs(ManualClock()),
            "products/S1A_WV_SLC__1SSV_20210119T031653_20210119T031718_036201_043ED0_8255.SAFE",
        )
