"""Granules of a datastrip as they lie in a product: what their metadata say, and their images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from orthokernel.container import ProductContainer
from orthokernel.errors import AnnotationError, MismatchedGranulesError, MissingAnnotationError, MissingDetectorError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.bands import BY_NUMBER, DETECTORS, Band
from orthokernel.sentinel2.datastrip import NOMINAL_RESOLUTION_M, Datastrip
from orthokernel.sentinel2.masks import MaskFiles

Float64Array = NDArray[np.float64]

_METADATA: Final = re.compile(r"GRANULE/[^/]+/[^/]*_MTD_L1B_GR_[^/]*\.xml")
_IMAGE: Final = re.compile(r"(GRANULE/[^/]+)/IMG_DATA/[^/]*_(B\d\d|B8A)\.jp2")


@dataclass(frozen=True)
class Granule:
    """A piece of one detector's images.

    Attributes
    ----------
    id, detector : str
    position : int
        Its first line in the detector's image of the datastrip, 0-based, in lines of a 10 m band.
    sizes : mapping of resolution in metres to (lines, samples)
    images : mapping of band to member of the product
    masks : MaskFiles
    ring : (K, 2) float64
        Its footprint, ``lon_deg, lat_deg``.
    sun, view : (zenith, azimuth) in degrees, or None
    """

    id: str
    detector: str
    position: int
    sizes: Mapping[int, tuple[int, int]]
    images: Mapping[str, str]
    masks: MaskFiles
    ring: Float64Array
    sun: tuple[float, float] | None
    view: tuple[float, float] | None

    def lines(self, band: Band) -> tuple[int, int]:
        """Its first line, and that after its last, in the detector's image of a band."""
        first, rest = divmod(self.position * NOMINAL_RESOLUTION_M, band.resolution_m)
        if rest:
            raise AnnotationError(
                self.id, f"position {self.position + 1}", f"one that a line of {band.resolution_m} m begins at"
            )
        return first, first + self.size(band)[0]

    def size(self, band: Band) -> tuple[int, int]:
        """``(lines, samples)``."""
        if band.resolution_m not in self.sizes:
            raise AnnotationError(self.id, f"no Size of {band.resolution_m} m", "one")
        return self.sizes[band.resolution_m]


def read_granules(container: ProductContainer, datastrip: Datastrip) -> list[Granule]:
    """All granules of a product, by detector and place.

    Raises
    ------
    MissingAnnotationError
        There is none.
    MismatchedGranulesError
        One is of another datastrip, or contradicts it.
    MissingDetectorError
        Detectors between them are missing.
    """
    images: dict[str, dict[str, str]] = {}
    for member in sorted(container.members):
        if match := _IMAGE.fullmatch(member):
            images.setdefault(match[1], {})[match[2].lower()] = member
    found = []
    for member in sorted(container.members):
        if _METADATA.fullmatch(member):
            document = XmlDocument.parse(container.read_bytes(member), f"{container.path}:{member}")
            folder = str(PurePosixPath(member).parent)
            masks = MaskFiles(container, document.source, _masks(document), f"{folder}/")
            found.append(_granule(document, images.get(folder, {}), masks, datastrip))
    if not found:
        raise MissingAnnotationError(container.path, "no metadata of granules", "GRANULE/*/*_MTD_L1B_GR_*.xml")
    with_metadata = {str(PurePosixPath(member).parent) for member in container.members if _METADATA.fullmatch(member)}
    for folder in sorted(set(images) - with_metadata):
        raise MissingAnnotationError(container.path, f"images in {folder} without metadata", "its *_MTD_L1B_GR_*.xml")
    there = {granule.detector for granule in found}
    between = DETECTORS[DETECTORS.index(min(there)) : DETECTORS.index(max(there)) + 1]
    missing = [detector for detector in between if detector not in there]
    if missing:
        raise MissingDetectorError(
            container.path,
            f"granules of detectors {', '.join(sorted(there))}",
            f"those of {', '.join(missing)}, too: there would be a gap between them",
        )
    return sorted(found, key=lambda granule: (granule.detector, granule.position))


def _masks(document: XmlDocument) -> dict[tuple[str, str], str]:
    entries = document.find_all("{*}Quality_Indicators_Info/Pixel_Level_QI/MASK_FILENAME")
    return {
        (entry.element.get("type", ""), BY_NUMBER.get(entry.element.get("bandId", ""), "")): entry.text(".")
        for entry in entries
    }


def _granule(document: XmlDocument, images: Mapping[str, str], masks: MaskFiles, datastrip: Datastrip) -> Granule:
    general, geometric = document.find("{*}General_Info"), document.find("{*}Geometric_Info")
    identifier, of = general.text("GRANULE_ID"), general.text("DATASTRIP_ID")
    if of != datastrip.id:
        raise MismatchedGranulesError(document.source, f"a granule of datastrip {of}", f"one of {datastrip.id}")
    detector, position = general.text("DETECTOR_ID"), geometric.integer("Granule_Position/POSITION") - 1
    listed = datastrip.granules.get(identifier)
    if listed != (detector, position):
        where = f"detector {detector}, position {position + 1}"
        wanted = "one that the datastrip lists" if listed is None else f"detector {listed[0]}, position {listed[1] + 1}"
        raise MismatchedGranulesError(document.source, f"granule {identifier} at {where}", f"{wanted}, as it says")
    if detector not in DETECTORS:
        raise AnnotationError(document.source, f"detector {detector}", "01 to 12")
    places = geometric.numbers(".//Footprint/EXT_POS_LIST")
    if places.size % 3 or places.size < 9:
        raise AnnotationError(
            document.source, f"<EXT_POS_LIST> of {places.size} numbers", "latitude, longitude, height"
        )
    return Granule(
        id=identifier,
        detector=detector,
        position=position,
        sizes={
            int(size.element.get("resolution", "0")): (size.integer("NROWS"), size.integer("NCOLS"))
            for size in geometric.find_all("Granule_Dimensions/Size")
        },
        images=images,
        masks=masks,
        ring=places.reshape(-1, 3)[:, 1::-1],
        sun=_angles(geometric, "Solar_Angles"),
        view=_angles(geometric, "Incidence_Angles"),
    )


def _angles(geometric: XmlDocument, name: str) -> tuple[float, float] | None:
    path = f"Granule_Position/Geometric_Header/{name}"
    if not geometric.find_all(path):
        return None
    return geometric.number(f"{path}/ZENITH_ANGLE"), geometric.number(f"{path}/AZIMUTH_ANGLE")
