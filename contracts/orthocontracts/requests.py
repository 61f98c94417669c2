"""What someone asks for: products, a grid, options. Every door ends in one of these."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from orthocontracts import tiles
from orthocontracts.areas import Area
from orthocontracts.model import Document, Identifier, Message, UtcTime
from orthocontracts.productids import name_in, plain_id
from orthocontracts.references import AUX_PATTERN, DEM_PATTERN, PRODUCT_PATTERN, plain_reference

MAX_PRODUCTS = 16
MAX_TILES = 200

ProductRef = Annotated[str, StringConstraints(pattern=PRODUCT_PATTERN)]
"""A blob, or a SAFE or SEN3 folder, in the container ``products``, on a server (``https://``, ``s3://``) or in a store
of a site (``site://``); or a product's official name, wherever it lies (``id:NAME``); for process ``copy`` an image, by
its digest."""

AuxRef = Annotated[str, StringConstraints(pattern=AUX_PATTERN), AfterValidator(plain_reference)]
"""A blob in the container ``aux``: DEM, geoid, Earth's orientation; or a folder: instrument parameters, orbit files,
tiles of a DEM."""

DemRef = Annotated[str, StringConstraints(pattern=DEM_PATTERN), AfterValidator(plain_reference)]
"""As `AuxRef`; a folder of tiles may lie where products may: ``https://``, ``s3://``, ``site://``."""

OrbitsRef = Annotated[str, StringConstraints(pattern=DEM_PATTERN), AfterValidator(plain_reference)]
"""As `AuxRef`, or where it can be listed too: ``s3://``, ``site://`` shown by a bucket; or one orbit file."""

CallbackUri = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2000)]

Radiometry = Literal["dn", "beta0", "sigma0", "gamma0", "gamma0_rtc", "reflectance", "physical"]
Resampling = Literal["nearest", "bilinear", "cubic", "average"]
Scale = Literal["linear", "db"]
Extra = Literal[
    "layover_shadow",
    "local_incidence",
    "scattering_area",
    "scene_classification",
    "detector",
    "quality",
    "acquisition",
]

NRB_EXTRAS: frozenset[Extra] = frozenset({"layover_shadow", "local_incidence", "acquisition"})
"""Files that make terrain-flattened gamma0 a CEOS-ARD Normalised Radar Backscatter: it never comes without them."""


class TileGrid(Document):
    """Sentinel-2 tiles: the named ones, or all that the products touch; of these only those that touch ``within``."""

    kind: Literal["mgrs"] = "mgrs"
    tiles: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MAX_TILES)
    within: Area | None = None
    spacing_m: float | None = Field(
        default=None,
        ge=1.0,
        le=5_490.0,
        description="pixel size; None: 10, for Sentinel-3 what suits the instrument (OLCI 300 or 900, SLSTR 450)",
    )

    @field_validator("tiles")
    @classmethod
    def _known_tiles(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None:
            for name in names:
                tiles.tile_bounds(name)
        return names

    @field_validator("spacing_m")
    @classmethod
    def _divides_the_tile(cls, spacing_m: float | None) -> float | None:
        if spacing_m is None:
            return None
        pixels = tiles.TILE_SIZE_M / spacing_m
        if abs(pixels - round(pixels)) > 1e-9:
            raise ValueError(
                f"spacing_m = {spacing_m} does not divide the tile's {tiles.TILE_SIZE_M:.0f} m: use 10, 20, 60, …"
            )
        return spacing_m


class BoundsGrid(Document):
    """A rectangle in a coordinate system of its own, for example ``epsg = 32633``."""

    kind: Literal["bounds"]
    epsg: int = Field(ge=1024, le=32767)
    left: float
    bottom: float
    right: float
    top: float
    spacing: float = Field(gt=0, description="pixel size in the units of the coordinate system")

    @model_validator(mode="after")
    def _has_pixels(self) -> Self:
        if self.left >= self.right or self.bottom >= self.top:
            raise ValueError("left must be below right and bottom below top")
        pixels = (self.right - self.left) * (self.top - self.bottom) / self.spacing**2
        if not 1 <= pixels <= MAX_PIXELS:
            raise ValueError(f"the grid would have {pixels:.3g} pixels; between 1 and {MAX_PIXELS:.3g} are possible")
        return self


def _reckonable(epsg: int | None) -> int | None:
    is_utm = epsg is not None and epsg // 100 in (326, 327) and 1 <= epsg % 100 <= 60
    if epsg is not None and not is_utm and epsg not in (EPSG_LONLAT, *POLAR_STEREOGRAPHIC):
        raise ValueError(f"rectangles are reckoned in 4326, UTM, 3413 and 3031, not in {epsg}: give bounds for it")
    return epsg


class FootprintGrid(Document):
    """The rectangle around the product itself, snapped to the spacing: for small, very detailed images, and for frames
    so wide that they would touch a hundred tiles.

    On longitude and latitude pixels are square in degrees, a whole number of them to the degree: as many as make the
    height of a pixel, counted on the equator, nearest to ``spacing_m``.
    """

    kind: Literal["footprint"]
    spacing_m: float | None = Field(
        default=None,
        gt=0,
        le=5_000,
        description="pixel size; None: 10, for Sentinel-3 what suits the instrument (OLCI 300 or 1200, SLSTR 500)",
    )
    epsg: int | None = Field(
        default=None,
        description="4326 (longitude and latitude), a UTM zone (326.., 327..), 3413 or 3031 (polar stereographic); "
        "None: the UTM zone of its middle, for Sentinel-3 4326, or 3413 and 3031 beyond 75 degrees",
    )

    _can_be_reckoned = field_validator("epsg")(_reckonable)


class AreaGrid(Document):
    """The rectangle around an area, snapped to the spacing: one image of just what was drawn.

    Its map follows from the area alone, so that images of several passes lie on one grid.
    """

    kind: Literal["area"]
    area: Area
    spacing_m: float | None = Field(
        default=None, gt=0, le=5_000, description="pixel size; None: what suits the product, as for a footprint"
    )
    epsg: int | None = Field(
        default=None,
        description="4326 (longitude and latitude), a UTM zone (326.., 327..), 3413 or 3031 (polar stereographic); "
        "None: the UTM zone of its middle",
    )

    _can_be_reckoned = field_validator("epsg")(_reckonable)


MAX_PIXELS = 4e9
EPSG_LONLAT = 4326
POLAR_STEREOGRAPHIC = (3413, 3031)
"""North and south."""

GridRequest = Annotated[TileGrid | BoundsGrid | FootprintGrid | AreaGrid, Field(discriminator="kind")]


class TerrainRequest(Document):
    """Where heights come from: a DEM (with the geoid its heights stand on, if they do), or one constant height."""

    dem: DemRef | None = Field(
        default=None,
        description="a file, or a folder of Copernicus DEM tiles, of which each image takes those it touches",
    )
    geoid: AuxRef | None = None
    height_m: float | None = Field(default=None, ge=-500, le=9000, description="metres above the ellipsoid")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dem is None) == (self.height_m is None):
            raise ValueError("give either dem or height_m")
        if self.geoid is not None and self.dem is None:
            raise ValueError("geoid without dem: a constant height is ellipsoidal already")
        return self


class Options(Document):
    """How pixels are made. ``None`` leaves the choice to what suits the product."""

    bands: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=64)
    radiometry: Radiometry | None = Field(
        default=None,
        description="gamma0_rtc is terrain-flattened gamma0, physical the quantity in its unit; None: sigma0 for "
        "radar, reflectance for Sentinel-2 L1C and L2A, physical for Sentinel-3, dn for others",
    )
    resampling: Resampling | None = None
    noise_removal: bool | None = Field(
        default=None, description="thermal noise; None: wherever the radiometry is calibrated and noise is annotated"
    )
    scale: Scale = Field(default="linear", description="db only with beta0, sigma0 or gamma0")
    extras: tuple[Extra, ...] = Field(
        default=(),
        validate_default=True,
        json_schema_extra={"uniqueItems": True},
        description="further files beside the image; gamma0_rtc always brings layover_shadow, local_incidence "
        "and acquisition; scene_classification is for Sentinel-2 L2A, detector for Sentinel-2, quality for Sentinel-2 "
        "L1C and L2A and Sentinel-3",
    )

    @field_validator("extras")
    @classmethod
    def _every_extra_once_in_order(cls, extras: tuple[Extra, ...], info: ValidationInfo) -> tuple[Extra, ...]:
        """In one order, with what the radiometry brings anyway: options that make the same files are equal."""
        if len(set(extras)) != len(extras):
            raise ValueError(f"the same extra is named twice in {', '.join(extras)}")
        brought = NRB_EXTRAS if info.data.get("radiometry") == "gamma0_rtc" else frozenset()
        return tuple(extra for extra in get_args(Extra) if extra in brought or extra in extras)

    @model_validator(mode="after")
    def _fits_the_radiometry(self) -> Self:
        if self.scale == "db" and self.radiometry == "gamma0_rtc":
            raise ValueError("scale db with gamma0_rtc: Normalised Radar Backscatter is linear, leave the scale out")
        if self.scale == "db" and self.radiometry not in ("beta0", "sigma0", "gamma0"):
            found = self.radiometry or "no radiometry"
            raise ValueError(f"scale db with {found}: ask for radiometry beta0, sigma0 or gamma0 with it")
        if self.noise_removal and self.radiometry == "dn":
            raise ValueError("noise_removal with dn: noise is removed from calibrated power only, leave it out")
        return self


class Subscriber(Document):
    """Whom to tell how a job ends: the ``subscriber`` of OGC API - Processes 1.0."""

    success_uri: CallbackUri | None = None
    in_progress_uri: CallbackUri | None = None
    failed_uri: CallbackUri | None = None


class Asked(Document):
    """How a request was put to the API, and how its caller would have the results."""

    process: Identifier = Field(default="orthorectify", description="the process that was named")
    response: Literal["raw", "document"] = "document"
    transmission: Literal["reference", "value"] = Field(
        default="reference", description="value: the images' STAC Items themselves; reference: links to all files"
    )
    base_url: str = Field(
        default="", max_length=500, description="where the caller reached the API: what links in callbacks begin with"
    )


class Ordered(Document):
    """The standing order that made a request."""

    order_id: Identifier
    created_at: UtcTime = Field(description="of the order: another may have its id by now")
    redo_with_precise_orbit: bool = False


class Request(Document):
    """One request: these products, onto this grid, for this user.

    ``request_id`` makes it repeatable: the same id from the same user is the same job, however often it arrives.
    ``patience_s`` is how long a task without a deadline waits for the HPC centre before the cloud may take it;
    None takes the site's setting. An ``urgent`` request of a user who may overdraw goes to the cloud past the budget.
    """

    version: Literal[1] = 1
    request_id: Identifier
    user: Identifier = "local"
    process: Literal["orthorectify", "copy"] = Field(
        default="orthorectify", description="copy: images that were left on site, into blob storage"
    )
    products: tuple[ProductRef, ...] = Field(min_length=1, max_length=MAX_PRODUCTS)
    grid: GridRequest | None = Field(
        default=None, description="None: all tiles that the products touch; for Sentinel-3 its footprint"
    )
    options: Options = Options()
    terrain: TerrainRequest | None = Field(
        default=None,
        description="None takes the site's default terrain; Sentinel-2 L1C and L2A and Sentinel-3 need none, take none",
    )
    gipp: AuxRef | None = Field(
        default=None,
        description="Sentinel-2 L1B: folder of the instrument's parameters (GIPP); None takes the site's default",
    )
    iers: AuxRef | None = Field(
        default=None,
        description="Sentinel-2 L1B: an IERS Bulletin A; None takes the site's default, or what the datastrip has",
    )
    orbits: OrbitsRef | None = Field(
        default=None,
        description="Sentinel-1: folder of orbit files, of which each pass takes the best: precise before restituted; "
        "where none is of its time, the orbit in the product. None takes the site's default, or the product's own",
    )
    deadline: UtcTime | None = None
    patience_s: float | None = Field(default=None, ge=0, le=30 * 86_400)
    urgent: bool = False
    subscriber: Subscriber | None = None
    asked: Asked | None = None
    batch: Identifier | None = Field(default=None, description="the batch it came in")
    replaces: tuple[Identifier, ...] = Field(
        default=(),
        max_length=64,
        description="jobs whose images of the same places it makes again: made before all products of the pass were "
        "there, or with a worse orbit. Those stay until they expire",
    )
    campaign: Identifier | None = Field(
        default=None, description="the campaign it is part of: its work runs where no user's work wants to"
    )
    ordered: Ordered | None = None
    shared_with: tuple[Identifier, ...] = Field(
        default=(), max_length=16, description="groups whose members may see the job and its results, as its user may"
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        le=3650,
        description="how long its results are kept; None, or more than the site allows: that",
    )

    @model_validator(mode="after")
    def _products_fit_the_process(self) -> Self:
        if self.process == "copy":
            wrong = next((ref for ref in self.products if not ref.startswith("catalogue/")), None)
            wanted = "catalogue/…"
        else:
            wrong = next((ref for ref in self.products if ref.startswith("catalogue/")), None)
            wanted = "products/…, https://…, s3://…, site://… or id:…"
        if wrong is not None:
            raise ValueError(f"process {self.process} takes {wanted}, not {wrong}")
        return self

    @field_validator("products")
    @classmethod
    def _no_way_out_of_the_container(cls, refs: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(plain_reference(ref) if name_in(ref) is None else plain_id(ref) for ref in refs)
        if len(set(plain)) != len(plain):
            raise ValueError("the same product is named twice")
        return plain


class StandingDefault(Document):
    """``settings/default_order.json``: what is made of an upload that no standing order matches.

    A mission without a template is not ordered. ``terrain``, and for Sentinel-2 L1B ``gipp`` and ``iers``, are for
    products that need them, where a request has none; ``orbits`` are for Sentinel-1.
    """

    version: Literal[1] = 1
    sentinel1: OrderTemplate | None = None
    sentinel2: OrderTemplate | None = None
    sentinel3: OrderTemplate | None = None
    rpc: OrderTemplate | None = None
    terrain: TerrainRequest | None = None
    gipp: AuxRef | None = None
    iers: AuxRef | None = None
    orbits: OrbitsRef | None = None
    user: Identifier = "local"


class OrderTemplate(Document):
    grid: GridRequest | None = None
    options: Options = Options()
    patience_s: float | None = Field(default=None, ge=0)


class RequestEnvelope(Message):
    """What travels on queue ``requests``: the request itself, or the blob that holds it when it is large.

    What the envelope has besides is ignored; in the request itself nothing is.
    """

    request: Request | None = None
    blob: str | None = Field(default=None, pattern=r"^requests/[a-z0-9][a-z0-9./-]{0,200}$")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.request is None) == (self.blob is None):
            raise ValueError("give either request or blob")
        return self


StandingDefault.model_rebuild()
