"""What a product is to the rest of the kernel, and `open_product`, which finds out what kind lies at a path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import OptionError, ProductError
from orthokernel.light import Cosine
from orthokernel.measure import AS_THEY_ARE, Measure
from orthokernel.sensor import SensorModel

if TYPE_CHECKING:
    from orthokernel.sentinel1.calibration import CalibrationTable
    from orthokernel.sentinel1.noise import ThermalNoise

Float64Array = NDArray[np.float64]
SlantToGround = Literal["linear", "nearest"]
Mission = Literal["sentinel-1", "sentinel-2", "sentinel-3", "rpc"]

SUPPORTED = (
    "a Sentinel-1 GRD, a Sentinel-2 L1B, L1C or L2A, a Sentinel-3 OLCI EFR or ERR or SLSTR RBT product (folder or "
    ".zip), or an image with RPC (tags, _RPC.TXT or DIMAP RPC XML beside it)"
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


@runtime_checkable
class ReadsInto(Protocol):
    """A `BandReader` that puts pixels where they are wanted: an array more would be a copy more."""

    def read_into(self, line_start: int, sample_start: int, out: NDArray[Any]) -> None:
        """Fill ``out`` (lines, samples) of the reader's type, each line contiguous, from a window inside the image."""
        ...


class ProductPart(Protocol):
    """A piece of a product with images and a geometry of its own: a detector.

    Attributes
    ----------
    number : int
        From 1 on; what the raster ``detector`` has.
    """

    @property
    def number(self) -> int: ...

    def sensor_model(self, band: str) -> SensorModel:
        """The geometry of the part's image of a band."""
        ...

    def open_band(self, band: str) -> BandReader:
        """A reader of that image."""
        ...

    def samples(self, band: str) -> tuple[float, float]:
        """First and last sample with which it may give pixels before parts that come after it; NaN as the last: all."""
        ...

    def sun(self, band: str) -> Cosine:
        """By what pixels of ``reflectance`` are still to be divided."""
        ...

    def has_extra(self, name: str) -> bool:
        """Whether the part has a raster of classes of its own (of those in `Product.extras`)."""
        ...

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """A reader of it, as `Product.open_extra`."""
        ...


class Product(Protocol):
    """An opened product. Close it, or use it in a ``with`` statement: it may hold scratch files.

    Attributes
    ----------
    path : Path
    id : str
        Name of the product without folder and extension.
    mission : {"sentinel-1", "sentinel-2", "sentinel-3", "rpc"}
    bands : tuple of str
        What `open_band` and `sensor_model` take; lower case.
    default_bands : tuple of str
        Those of an orthoimage of which no bands were asked.
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
    def mission(self) -> Mission: ...

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def default_bands(self) -> tuple[str, ...]: ...

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

    @property
    def parts(self) -> Sequence[ProductPart]:
        """Parts that images are put together from, in the order they are asked; none where bands have one image."""
        ...

    def frame(self, band: str) -> str:
        """A name of the grid of samples that a band is in: bands of one frame are registered to each other."""
        ...

    @property
    def needs_terrain(self) -> bool:
        """False where pixels lie on the map already, or their places on the ground are known one by one."""
        ...

    def radiometries(self, band: str) -> tuple[str, ...]:
        """What can be made of a band's pixels (see `orthokernel.radiometry`), the default first."""
        ...

    def measure(self, band: str, radiometry: str) -> Measure:
        """What a band's pixels stand for in one of its `radiometries` other than radar backscatter."""
        ...

    def preferred_resampling(self, band: str) -> Literal["nearest"] | None:
        """What is taken where no resampling was asked for; None: what suits the spacing."""
        ...

    @property
    def extras(self) -> Mapping[str, str]:
        """The rasters of classes this product can have beside an image (see `orthokernel.extras`), each with what its
        numbers mean; beyond those that follow from a radar's geometry."""
        ...

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """A reader of one of `extras`, as it is for a band, and its geometry."""
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


class PlainProduct:
    """What is so for most products: the methods of `Product` that they need not write."""

    path: Path
    bands: tuple[str, ...]
    extra_bands: tuple[str, ...] = ()
    needs_terrain: bool = True
    has_border_noise: bool = False

    @property
    def parts(self) -> Sequence[ProductPart]:
        """None."""
        return ()

    @property
    def extras(self) -> Mapping[str, str]:
        """None."""
        return {}

    @property
    def default_bands(self) -> tuple[str, ...]:
        """All of them."""
        return self.bands

    def frame(self, band: str) -> str:
        """One for all bands."""
        del band
        return ""

    def radiometries(self, band: str) -> tuple[str, ...]:
        """Pixels as they are."""
        del band
        return ("dn",)

    def measure(self, band: str, radiometry: str) -> Measure:
        """Pixels as they are."""
        del band, radiometry
        return AS_THEY_ARE

    def preferred_resampling(self, band: str) -> Literal["nearest"] | None:
        """None."""
        del band
        return None

    def open_extra(self, name: str, band: str) -> tuple[BandReader, SensorModel]:
        """There is none."""
        raise OptionError(f"{self.path}: extra {name!r} of band {band}: this product has no such raster")

    def calibration(self, band: str) -> CalibrationTable | None:
        """None: no radar backscatter."""
        del band
        return None

    def noise(self, band: str) -> ThermalNoise | None:
        """None."""
        del band
        return None

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_product(
    path: str | os.PathLike[str],
    orbits: str | os.PathLike[str] | None = None,
    gipp: str | os.PathLike[str] | None = None,
    iers: str | os.PathLike[str] | None = None,
) -> Product:
    """Open a product: metadata is read and checked, pixels are not.

    Parameters
    ----------
    path : path
        A SAFE or SEN3 folder (or the manifest in it), a ``.zip`` of one, or an image with RPC.
    orbits : path, optional
        Sentinel-1: a folder, searched through, from which the best orbit file of the scene is taken, or such a file
        (``.EOF``, or a zip of one). Default: the orbit in the annotation. Other products have no use for it.
    gipp : path, optional
        Sentinel-2 L1B: the folder with the files of the instrument's parameters, from which those of the satellite
        and the time are taken. Default: beside the product.
    iers : path, optional
        Sentinel-2 L1B: an IERS Bulletin A. Default: the Earth's orientation that the datastrip has.

    Raises
    ------
    ProductError
        Nothing there, damaged, or not supported; the subclass and the message say which.
    OrbitError
        No orbit file fits the scene, or it is damaged.
    """
    path = Path(path)
    if path.name in ("manifest.safe", "xfdumanifest.xml"):
        path = path.parent
    if not path.exists():
        raise ProductError(path, "no such file or folder", SUPPORTED)
    name = path.name.upper()
    if path.is_dir() or name.endswith(".ZIP"):
        # Each door compiles numba functions of its own.
        if looks_like_sentinel2(path):
            from orthokernel.sentinel2.product import open_sentinel2  # noqa: PLC0415

            return open_sentinel2(path, gipp, iers)
        if looks_like_sentinel3(path):
            from orthokernel.sentinel3.product import open_sentinel3  # noqa: PLC0415

            return open_sentinel3(path)
        from orthokernel.sentinel1.product import open_sentinel1  # noqa: PLC0415

        return open_sentinel1(path, orbits)
    from orthokernel.rpc.product import open_rpc_image  # noqa: PLC0415

    return open_rpc_image(path)


def looks_like_sentinel2(path: Path) -> bool:
    """By its name, or in a folder by what lies there: products are renamed."""
    name = path.name.upper()
    if name.startswith("S2") and name[3:4] == "_":
        return True
    return path.is_dir() and (any(path.glob("MTD_MSIL*.xml")) or (path / "GRANULE").is_dir())


def looks_like_sentinel3(path: Path) -> bool:
    """As `looks_like_sentinel2`."""
    name = path.name.upper()
    if name.startswith("S3") and name[3:4] == "_":
        return True
    return path.is_dir() and (path / "xfdumanifest.xml").is_file()
