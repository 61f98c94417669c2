"""Images as a table with outlines, for geopandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx

from orthoburst.errors import OrthoburstError
from orthoburst.result import Result

if TYPE_CHECKING:
    import geopandas

    from orthoburst.job import Job

ITEMS_AT_ONCE = 16
ITEM_TIMEOUT_S = 30.0
_CRS = "EPSG:4326"


def frame_of(found: Iterable[tuple[Job, Sequence[Result]]]) -> geopandas.GeoDataFrame:
    """A row for each image: what its STAC Item says of it, its outline, its link and its job."""
    pairs = [(job, result) for job, results in found for result in results]
    _geopandas()  # before anything is fetched in vain
    with ThreadPoolExecutor(ITEMS_AT_ONCE) as pool:
        items = list(pool.map(lambda pair: _item(pair[1]), pairs))
    features = []
    for (job, result), item in zip(pairs, items, strict=True):
        mine = {"job": job.id, "title": result.title, "digest": result.digest, "size_bytes": result.size_bytes}
        properties = {**item.get("properties", {}), **mine, "image": result.image_url}
        features.append({"type": "Feature", "geometry": item.get("geometry"), "properties": properties})
    return frame(features)


def frame(features: Sequence[Mapping[str, Any]]) -> geopandas.GeoDataFrame:
    """GeoJSON features as a table."""
    found = _geopandas()
    if not features:
        return found.GeoDataFrame({"geometry": []}, geometry="geometry", crs=_CRS)
    return found.GeoDataFrame.from_features(features, crs=_CRS)


def _geopandas() -> Any:
    try:
        import geopandas  # noqa: PLC0415 (optional, and heavy)
    except ImportError as missing:
        raise ImportError("tables of images need geopandas: pip install 'orthoburst[geo]'") from missing
    return geopandas


def _item(result: Result) -> dict[str, Any]:
    file = result.files.get("item")
    if file is None or not file.url:
        return {}
    try:
        answer = httpx.get(file.url, timeout=ITEM_TIMEOUT_S)
        answer.raise_for_status()
        item: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise OrthoburstError(f"the STAC Item of {result.title} cannot be had: {error}") from error
    return item
