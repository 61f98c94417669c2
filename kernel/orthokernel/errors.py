"""What the kernel raises. Every error names the thing, what was found and what was expected or what to do."""

from __future__ import annotations

from collections.abc import Sequence


class KernelError(Exception):
    """Base of every error the kernel raises on purpose.

    ``permanent`` is True where trying again with the same input cannot help (a broken product, a grid off the
    image), False where it can (a full disk).
    """

    permanent = True


class ProductError(KernelError):
    """A product that cannot be read: missing annotation, truncated raster, unsupported type."""

    def __init__(self, path: object, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}")
        self.path = str(path)
        self.found = found
        self.expected = expected


class UnsupportedProductError(ProductError):
    """A product that is understood well enough to say that this version cannot orthorectify it."""


class UnsafeArchiveError(ProductError):
    """An archive whose member names would leave the folder they are unpacked to, or that hides a link."""


class CorruptArchiveError(ProductError):
    """An archive that is cut off or fails its own checksums."""


class MissingAnnotationError(ProductError):
    """A product without the metadata file that a measurement needs."""


class MissingMeasurementError(ProductError):
    """A product whose annotation announces pixels that are not there."""


class TruncatedRasterError(ProductError):
    """A raster whose directory points beyond the end of the file: reading it would give silent zeros."""


class UnsafeXmlError(ProductError):
    """XML with a document type or entity declaration; no product has one, an entity bomb needs one."""


class MalformedXmlError(ProductError):
    """XML that does not parse."""


class AnnotationError(ProductError):
    """Well-formed metadata that lacks a value the kernel needs, or contradicts itself."""


class GeolocationError(ProductError):
    """Latitudes and longitudes of pixels that are all missing, or of which no neighbours belong together."""


class DemFetchError(ProductError):
    """A source of DEM tiles that does not answer, or sends something else."""

    permanent = False


class UnknownBandError(ProductError):
    """A band that the product does not have."""


class MissingGippError(MissingAnnotationError):
    """Sentinel-2 L1B without a file of the instrument's parameters that it needs."""


class GippValidityError(ProductError):
    """Parameters of the instrument (GIPP) that were not in force when a datastrip was sensed."""


class BulletinError(ProductError):
    """An IERS Bulletin A that does not parse, or that does not hold the day."""


class MismatchedGranulesError(ProductError):
    """Granules that do not belong to the datastrip they lie beside."""


class MissingDetectorError(ProductError):
    """Granules of detectors between which others are missing: there would be a gap from top to bottom."""


class OrbitError(KernelError):
    """An orbit file that cannot be used, or a folder that has none for a scene."""

    def __init__(self, path: object, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}")
        self.path = str(path)
        self.found = found
        self.expected = expected


class GridError(KernelError):
    """A map grid that cannot be: no pixels, too many, no such tile, spacing in the wrong unit."""


class TerrainError(KernelError):
    """A DEM or geoid that cannot be used: unreadable, no coordinate system, a vertical datum that contradicts."""

    def __init__(self, path: object, found: str, expected: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}")
        self.path = str(path)
        self.found = found
        self.expected = expected


class TooManyCellsError(TerrainError):
    """An area that is small on the ground and endless in the DEM: a pole on a lattice of longitudes."""


class OutsideDemError(KernelError):
    """No DEM tile touches the area. Bounds are ``(west, south, east, north)`` in degrees."""

    def __init__(
        self, bounds: tuple[float, float, float, float], dem_bounds: tuple[float, float, float, float]
    ) -> None:
        def text(box: tuple[float, float, float, float]) -> str:
            return "(" + ", ".join(f"{v:.4f}" for v in box) + ")"

        super().__init__(
            f"the DEM covers none of the area {text(bounds)}: its bounds are {text(dem_bounds)} "
            "(west, south, east, north in degrees); give a DEM of this area, or a constant height"
        )
        self.bounds = bounds
        self.dem_bounds = dem_bounds


class RpcError(ProductError):
    """Rational polynomial coefficients that are missing, incomplete or impossible."""


class LatticeError(KernelError):
    """A sensor model that no lattice follows closely enough."""

    def __init__(self, error_px: float, tolerance_px: float) -> None:
        super().__init__(
            f"the lattice stays {error_px:.3g} px from the sensor model; expected at most {tolerance_px:g} px: "
            "use geometry='exact'"
        )
        self.error_px = error_px
        self.tolerance_px = tolerance_px


class EmptyIntersectionError(KernelError):
    """A grid that no pixel of the products falls on."""

    def __init__(self, products: str, grid: str) -> None:
        super().__init__(
            f"{products} does not reach {grid}: no output pixel has a source sample; "
            "expected a grid that the product's footprint overlaps"
        )
        self.products = products
        self.grid = grid


class RadiometryError(KernelError):
    """A radiometry that a band cannot give."""

    def __init__(self, path: object, band: str, radiometry: str, possible: Sequence[str]) -> None:
        super().__init__(f"{path}: band {band} gives no {radiometry}; expected radiometry {' or '.join(possible)}")
        self.path = str(path)
        self.band = band
        self.radiometry = radiometry


class OptionError(KernelError):
    """An option of `orthorectify` that is unknown, or that contradicts another."""


class OutputError(KernelError):
    """An output that cannot be written: no space, no right."""

    permanent = False

    def __init__(self, path: object, cause: Exception) -> None:
        super().__init__(f"{path}: cannot be written ({cause}); expected a folder with room and the right to write")
        self.path = str(path)
