"""Images without a georeference open without a word, whatever other threads do to the filters of warnings."""

from __future__ import annotations

import threading
import time
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from orthokernel.unreferenced import open_unreferenced


def test_no_warning_while_another_thread_puts_its_filters_back(tmp_path: Path) -> None:
    """As numba does around what it compiles."""
    path, over = tmp_path / "plain.tif", threading.Event()

    def meddle() -> None:
        while not over.is_set():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                time.sleep(0.0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=4, width=5, count=1, dtype="uint8") as image:
            image.write(np.ones((1, 4, 5), np.uint8))
        warnings.simplefilter("error")
        other = threading.Thread(target=meddle)
        other.start()
        try:
            for _ in range(100):
                with open_unreferenced(path) as source:
                    assert source.shape == (4, 5)
        finally:
            over.set()
            other.join()
