"""Process ``radar-backscatter``: the options that are for radar, with the defaults of analysis-ready data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orthocontracts.requests import Options, Request

RadarRadiometry = Literal["gamma0_rtc", "gamma0", "sigma0", "beta0"]
RadarExtra = Literal["layover_shadow", "local_incidence", "scattering_area", "acquisition"]


class RadarOptions(Options):
    """Without any: terrain-flattened gamma0 with the files that make it a CEOS-ARD Normalised Radar Backscatter."""

    bands: tuple[Literal["vv", "vh", "hh", "hv"], ...] | None = Field(
        default=None, min_length=1, max_length=2, description="polarisations; None: all that the product has"
    )
    radiometry: RadarRadiometry = Field(
        default="gamma0_rtc", description="gamma0_rtc is terrain-flattened gamma0, what CEOS-ARD asks for"
    )
    extras: tuple[RadarExtra, ...] = Field(
        default=(),
        validate_default=True,
        json_schema_extra={"uniqueItems": True},
        description="further files beside the image; gamma0_rtc always brings layover_shadow, local_incidence "
        "and acquisition; scattering_area is what it was flattened with",
    )


class RadarRequest(Request):
    """A request whose products are Sentinel-1's."""

    options: RadarOptions = RadarOptions()

    def as_request(self) -> Request:
        """The same as the planner takes it."""
        return Request.model_validate(self.model_dump(exclude_unset=True) | {"options": self.options.model_dump()})
