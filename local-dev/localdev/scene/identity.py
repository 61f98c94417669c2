"""Names and numbers of an acquisition, as plausible as a made-up one can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from localdev.scene.modes import Mode

REPEAT_ORBITS, REPEAT_DAYS = 175, 12
ORBIT_PERIOD_S = REPEAT_DAYS * 86400.0 / REPEAT_ORBITS
# An orbit of each platform with its time, and the offset of its relative orbit numbers.
KNOWN_ORBITS = {
    "S1A": (36201, datetime(2021, 1, 19, 3, 16, 53), 73, "2014-016A"),
    "S1B": (30148, datetime(2021, 12, 23, 5, 11, 22), 27, "2016-025A"),
    "S1C": (1, datetime(2024, 12, 5, 21, 20, 0), 172, "2024-235A"),
    "S1D": (1, datetime(2025, 11, 4, 21, 2, 0), 42, "2025-251A"),
}
# Source of the offsets: ESA's SentiWiki; S1D and the change of S1C: isce2 pull requests 28123 and 28130.
S1C_MOVED, S1C_OFFSET_AFTER = datetime(2026, 6, 24), 99


@dataclass(frozen=True)
class Identity:
    """What names a product."""

    platform: str
    start: datetime
    stop: datetime
    polarisations: tuple[str, ...]
    ascending: bool
    anx: datetime
    mode: Mode

    @property
    def orbit(self) -> int:
        """Absolute orbit number."""
        number, time, _, _ = KNOWN_ORBITS[self.platform]
        return max(1, number + round((self.start - time).total_seconds() / ORBIT_PERIOD_S))

    @property
    def relative_orbit(self) -> int:
        """Track, 1 to 175."""
        offset = KNOWN_ORBITS[self.platform][2]
        if self.platform == "S1C" and self.start >= S1C_MOVED:
            offset = S1C_OFFSET_AFTER
        return (self.orbit - offset) % REPEAT_ORBITS + 1

    @property
    def datatake(self) -> int:
        """A number that differs between acquisitions."""
        return (self.orbit * 7 + round((self.start - datetime(2014, 1, 1)).total_seconds()) // 60) % 0xFFFFFF

    @property
    def nssdc(self) -> str:
        """International designator of the satellite."""
        return KNOWN_ORBITS[self.platform][3]

    @property
    def polarisation_code(self) -> str:
        """Polarisation code of the product name."""
        first = self.polarisations[0][0].upper()
        return ("D" if len(self.polarisations) > 1 else "S") + first

    def product_name(self, unique: str) -> str:
        """Name of the SAFE folder without its ending; the last four digits are a checksum of the manifest."""
        return (
            f"{self.platform}_{self.mode.swath}_GRD{self.mode.resolution}_1S{self.polarisation_code}"
            f"_{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
            f"_{self.orbit:06d}_{self.datatake:06X}_{unique}"
        )

    def file_stem(self, polarisation: str) -> str:
        """Name of a polarisation's annotation and measurement without their ending."""
        image = self.polarisations.index(polarisation) + 1
        return (
            f"{self.platform.lower()}-{self.mode.swath.lower()}-grd-{polarisation}"
            f"-{self.start:%Y%m%dt%H%M%S}-{self.stop:%Y%m%dt%H%M%S}-{self.orbit:06d}-{self.datatake:06x}-{image:03d}"
        )

    def header(self, polarisation: str) -> dict[str, str | int | datetime]:
        """``adsHeader`` of an annotation."""
        return {
            "missionId": self.platform,
            "productType": "GRD",
            "polarisation": polarisation.upper(),
            "mode": self.mode.name,
            "swath": self.mode.swath,
            "startTime": self.start,
            "stopTime": self.stop,
            "absoluteOrbitNumber": self.orbit,
            "missionDataTakeId": self.datatake,
            "imageNumber": f"{self.polarisations.index(polarisation) + 1:03d}",
        }


def stop_time(start: datetime, duration_s: float) -> datetime:
    """Moment of the last line, to the microsecond."""
    return start + timedelta(microseconds=round(duration_s * 1e6))
