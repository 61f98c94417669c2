"""Opening images that lie on no map: GDAL's word on that is not for our users."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning

_LOCK = threading.Lock()
"""Python's warning filters are global: two opening threads must not restore each other's."""


@contextmanager
def unreferenced() -> Iterator[None]:
    """While an image in sensor geometry is opened: it has no georeference, that is why it is here."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
