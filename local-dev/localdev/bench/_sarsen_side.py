"""sarsen's side. Runs in sarsen's own interpreter, so it imports nothing of ours but the loop that serves."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from localdev.bench._serve import serve


def _prepare(asked: dict[str, Any]) -> dict[str, Any]:
    Path(asked["out"]).unlink(missing_ok=True)
    return {}


def _work(asked: dict[str, Any]) -> dict[str, Any]:
    import sarsen  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 (a peer's interpreter has it)

    warnings.simplefilter("ignore")
    product = sarsen.Sentinel1SarProduct(asked["safe"], measurement_group="IW/VV")
    sarsen.terrain_correction(
        product, dem_urlpath=asked["dem"], output_urlpath=asked["out"], correct_radiometry=asked["correct_radiometry"]
    )
    return {}


if __name__ == "__main__":
    serve(_prepare, _work)
