"""What a product is to the rest of the kernel, and `open_product`, which finds out what kind lies at a path."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import ProductError, UnsupportedProductError
from orthokernel.sensor import SensorModel

if TYPE_CHECKING:
    from orthokernel.sentinel1.calibration import CalibrationTable
    from orthokernel.sentinel1.noise import ThermalNoise

Float64Array = NDArray[np.float64]
SlantToGround = Literal["linear", "nearest"]

SUPPORTED = (
    "a Sentinel-1 GRD product (SAFE folder or .zip), or an image with RPC (tags, _RPC.TXT or DIMAP RPC XML beside it)"
)


class BandReader(Protocol):
    """Pixels of one band. Safe to use from several threads at once; close it, or use it in a ``with`` statement.

    Attributes
    ----------
    n_lines, n_samples : int
    dtype : numpy dtype
    nodata : float or None
        The value that means no data, where the product has one.
    """

    @property
    def n_lines(self) -> int: ...

    @property
    def n_samples(self) -> int: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def nodata(self) -> float | None: ...

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` array of `dtype`: the half-open window, clipped to the image; may come out empty."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Product(Protocol):
    """An opened product. Close it, or use it in a ``with`` statement: it may hold scratch files.

    Attributes
    ----------
    path : Path
    id : str
        Name of the product without folder and extension.
    mission : {"sentinel-1", "rpc"}
    bands : tuple of str
        What `open_band` and `sensor_model` take, the default bands of an orthoimage; lower case.
    extra_bands : tuple of str
        Further bands that are taken only when asked for by name (``"quicklook"``).
    start_time, stop_time : datetime or None
        UTC, of the first and last line.
    """

    @property
    def path(self) -> Path: ...

    @property
    def id(self) -> str: ...

    @property
    def mission(self) -> Literal["sentinel-1", "rpc"]: ...

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def extra_bands(self) -> tuple[str, ...]: ...

    @property
    def start_time(self) -> datetime | None: ...

    @property
    def stop_time(self) -> datetime | None: ...

    @property
    def footprint(self) -> Float64Array:
        """``(K, 2)`` longitude and latitude in degrees: a closed ring, anticlockwise on the map."""
        ...

    def sensor_model(self, band: str | None = None, *, slant_to_ground: SlantToGround = "linear") -> SensorModel:
        """The geometry of a band (the first where None). ``slant_to_ground`` concerns Sentinel-1 only."""
        ...

    def open_band(self, band: str) -> BandReader:
        """A reader of a band's pixels."""
        ...

    def calibration(self, band: str) -> CalibrationTable | None:
        """Sentinel-1: the calibration vectors of a band; None where the band has no calibration."""
        ...

    def noise(self, band: str) -> ThermalNoise | None:
        """Sentinel-1: the thermal noise in a band's pixels; None for every other mission."""
        ...

    @property
    def has_border_noise(self) -> bool:
        """Sentinel-1 before IPF 2.9: where nothing was imaged the pixels are not zero but low."""
        ...

    def properties(self) -> dict[str, Any]:
        """Facts for people and for a STAC Item, JSON types only."""
        ...

    def close(self) -> None:
        """Remove scratch files."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_product(path: str | os.PathLike[str], orbits: str | os.PathLike[str] | None = None) -> Product:
    """Open a product: metadata is read and checked, pixels are not.

    Parameters
    ----------
    path : path
        A SAFE folder (or its ``manifest.safe``), a SAFE ``.zip``, or an image with RPC.
    orbits : path, optional
        Sentinel-1: a folder, searched through, from which the best orbit file of the scene is taken, or such a file
        (``.EOF``, or a zip of one). Default: the orbit in the annotation. Other products have no use for it.

    Raises
    ------
    ProductError
        Nothing there, damaged, or not supported; the subclass and the message say which.
    OrbitError
        No orbit file fits the scene, or it is damaged.
    """
    path = Path(path)
    if path.name == "manifest.safe":
        path = path.parent
    if not path.exists():
        raise ProductError(path, "no such file or folder", SUPPORTED)
    name = path.name.upper()
    if path.is_dir() or name.endswith(".ZIP"):
        _refuse_by_name(path, name)
        from orthokernel.sentinel1.product import open_sentinel1  # noqa: PLC0415 (compiles numba functions)

        return open_sentinel1(path, orbits)
    from orthokernel.rpc.product import open_rpc_image  # noqa: PLC0415 (compiles numba functions)

    return open_rpc_image(path)


def _refuse_by_name(path: Path, name: str) -> None:
    """Say plainly what is known and not supported."""
    for start, what in (("S2", "a Sentinel-2 product"), ("S3", "a Sentinel-3 product")):
        if name.startswith(start) and len(name) > 3 and name[3] == "_":
            raise UnsupportedProductError(path, what, SUPPORTED)
