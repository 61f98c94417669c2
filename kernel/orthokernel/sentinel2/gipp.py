"""Ground image processing parameters (GIPP): where each pixel of each detector looks, and how the MSI is mounted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import AnnotationError
from orthokernel.safexml import XmlDocument
from orthokernel.sentinel2.bands import Band
from orthokernel.sentinel2.datastrip import Datastrip
from orthokernel.sentinel2.gippfiles import choose, list_files

Float64Array = NDArray[np.float64]

_UNIT_RAD = {"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": np.pi / 180.0}


@dataclass(frozen=True)
class ViewingDirections:
    """Of one detector's pixels in one band: tangents of the angles across (``x``) and along (``y``) the track, (S,)."""

    tan_psi_x: Float64Array
    tan_psi_y: Float64Array


@dataclass(frozen=True)
class Mounting:
    """How a frame stands in another: three rotations, about X, Y, Z in the order of application, and a scale of Z."""

    angles_rad: tuple[float, float, float]
    z_scale: float


class Gipp:
    """The files ``GIP_VIEDIR`` of each band and ``GIP_SPAMOD`` that belong to a datastrip.

    Parameters
    ----------
    folder : Path
        Searched through; see `orthokernel.sentinel2.gippfiles.choose`.
    datastrip : Datastrip

    Raises
    ------
    MissingGippError, GippValidityError
        There is no spacecraft model, or none of the time.
    """

    def __init__(self, folder: Path, datastrip: Datastrip) -> None:
        self.folder = folder
        self._files, self._datastrip = list_files(folder), datastrip
        self.used: dict[str, str] = {}
        """Kind and band to the name of the file."""
        self._spacecraft = self._read("SPAMOD", "B00")
        self._directions: dict[str, XmlDocument] = {}

    def viewing_directions(self, band: Band, detector: str, tdi: str | None) -> ViewingDirections:
        """Of a detector. ``tdi`` is the datastrip's setting of time delay integration for the band, where it has one.

        Raises
        ------
        MissingGippError, GippValidityError
            There is no file of the band, or none of the time.
        AnnotationError
            The file has no such detector or setting, or lists of different length.
        """
        if band.name not in self._directions:  # a megabyte of text, for all detectors
            self._directions[band.name] = self._read("VIEDIR", band.name)
        document = self._directions[band.name]
        lists = document.find_all("DATA/VIEWING_DIRECTIONS_LIST")
        chosen = [one for one in lists if tdi is None or len(lists) == 1 or one.element.get("tdi_config") == tdi]
        for one in chosen[:1]:
            for directions in one.find_all("VIEWING_DIRECTIONS"):
                if directions.element.get("detector_id") == detector:
                    x, y = directions.numbers("TAN_PSI_X_LIST"), directions.numbers("TAN_PSI_Y_LIST")
                    count = directions.integer("NB_OF_PIXELS")
                    if not x.size == y.size == count:
                        raise AnnotationError(
                            document.source, f"{x.size} and {y.size} tangents for detector {detector}", f"{count} each"
                        )
                    return ViewingDirections(x, y)
        raise AnnotationError(
            document.source, f"nothing for detector {detector} with TDI {tdi}", "its viewing directions"
        )

    def piloting_to_msi(self) -> Mounting:
        """From the frame attitudes are given for to the instrument's."""
        return _mounting(self._spacecraft.find("DATA/PILOTING_TO_MSI_FRAME"))

    def msi_to_focal_plane(self, band: Band) -> Mounting:
        return _mounting(self._spacecraft.find(f"DATA/MSI_TO_FOCAL_PLANE/MSI_TO_{band.focal_plane}"))

    def focal_plane_to_detector(self, band: Band, detector: str) -> Mounting:
        name = f"FOCAL_PLANE_TO_DETECTOR_{band.focal_plane}"
        path = f"DATA/FOCAL_PLANE_TO_DETECTOR/{name}[@detector_id='{detector}']"
        return _mounting(self._spacecraft.find(path))

    def _read(self, kind: str, band: str) -> XmlDocument:
        chosen = choose(self._files, self.folder, kind, band, self._datastrip)
        document = XmlDocument.parse(chosen.path.read_bytes(), chosen.path.name)
        satellite = document.optional_text("HEADER/SATELLITE")
        if satellite not in (None, self._datastrip.satellite):
            raise AnnotationError(document.source, f"parameters of {satellite}", f"of {self._datastrip.satellite}")
        self.used[f"{kind} {band}"] = chosen.path.stem
        return document


def _mounting(element: XmlDocument) -> Mounting:
    angles = []
    for name, axis in (("R1", "X"), ("R2", "Y"), ("R3", "Z")):
        found = element.find(name).element
        unit = found.get("unit", "")
        if found.get("axis") != axis or unit not in _UNIT_RAD:
            raise AnnotationError(
                element.source, f"<{name}> about {found.get('axis')} in {unit or 'no unit'}", f"one about {axis}"
            )
        angles.append(element.number(name) * _UNIT_RAD[unit])
    scale = element.number("SCALE_FACTOR") if element.optional_text("SCALE_FACTOR") else 1.0
    return Mounting((angles[0], angles[1], angles[2]), scale)
