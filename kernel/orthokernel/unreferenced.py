"""Opening images that lie on no map: GDAL's word on that is not for our users."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

_LOCK = threading.Lock()
"""Python's warning filters are global: two opening threads must not restore each other's."""


def open_unreferenced(path: Path | str, **options: Any) -> DatasetReader:
    """`rasterio.open` of an image in sensor geometry: it has no georeference, that is why it is here."""
    while True:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                return rasterio.open(path, **options)
            except NotGeoreferencedWarning:
                continue  # an error to those who want it so, and numba, compiling meanwhile, put their filters back
