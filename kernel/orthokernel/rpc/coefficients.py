"""The 90 numbers of a rational polynomial camera, checked, in one convention whatever file they came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orthokernel.errors import RpcError

N_TERMS = 20

Terms = tuple[float, ...]


@dataclass(frozen=True)
class RpcCoefficients:
    """A rational polynomial camera from ground to image (RPC00B).

    ``line = line_off + line_scale * line_num(L, P, H) / line_den(L, P, H)`` and likewise ``samp``, where ``L, P, H``
    are longitude, latitude (degrees) and height (metres above the WGS 84 ellipsoid), each less its offset and divided
    by its scale. Lines and samples are 0-based with integers at pixel centres.

    Source: STDI-0002 volume 1, appendix E, RPC00B (order of the 20 terms).
    """

    line_off: float
    line_scale: float
    samp_off: float
    samp_scale: float
    long_off: float
    long_scale: float
    lat_off: float
    lat_scale: float
    height_off: float
    height_scale: float
    line_num_coeff: Terms
    line_den_coeff: Terms
    samp_num_coeff: Terms
    samp_den_coeff: Terms

    def rebased(
        self, *, first_line: float, first_sample: float, line_step: float = 1.0, sample_step: float = 1.0
    ) -> RpcCoefficients:
        """The same camera for a crop, or a reduced copy, of the image.

        ``first_line, first_sample`` are the *outer edge* of the crop's first pixel counted from the outer edge of the
        full image, as in a geotransform; the steps are the size of its pixels in those of the full image.
        """
        return replace(
            self,
            line_off=(self.line_off + 0.5 - first_line) / line_step - 0.5,
            line_scale=self.line_scale / line_step,
            samp_off=(self.samp_off + 0.5 - first_sample) / sample_step - 0.5,
            samp_scale=self.samp_scale / sample_step,
        )

    def polynomials(self) -> NDArray[np.float64]:
        """``(4, 20)`` float64: line numerator, line denominator, sample numerator, sample denominator."""
        return np.array([self.line_num_coeff, self.line_den_coeff, self.samp_num_coeff, self.samp_den_coeff])

    def normalisation(self) -> NDArray[np.float64]:
        """``(5, 2)`` float64 of offset and scale: line, sample, longitude, latitude, height."""
        return np.array(
            [
                [self.line_off, self.line_scale],
                [self.samp_off, self.samp_scale],
                [self.long_off, self.long_scale],
                [self.lat_off, self.lat_scale],
                [self.height_off, self.height_scale],
            ]
        )

    @classmethod
    def from_items(cls, items: Mapping[str, str | Sequence[str]], source: object) -> RpcCoefficients:
        """Check and convert named texts.

        Parameters
        ----------
        items : mapping
            GDAL's names (``LINE_OFF``, ``LINE_NUM_COEFF`` with 20 values, …); a value may carry its unit behind it.
        source : object
            The file, for errors.

        Raises
        ------
        RpcError
            A value is missing, not finite, or impossible.
        """
        scalars = {}
        for name in _SCALARS:
            words = _words(items, name, source)
            scalars[name.lower()] = _number(words[0], name, source)
        terms = {}
        for name in _POLYNOMIALS:
            words = _words(items, name, source)
            if len(words) < N_TERMS:
                raise RpcError(source, f"{len(words)} values of {name}", f"{N_TERMS}")
            terms[name.lower()] = tuple(_number(word, name, source) for word in words[:N_TERMS])
        for name in ("line_scale", "samp_scale", "long_scale", "lat_scale", "height_scale"):
            if scalars[name] <= 0:
                raise RpcError(source, f"{name.upper()} {scalars[name]:g}", "a positive number")
        if not (-90 <= scalars["lat_off"] <= 90 and -360 <= scalars["long_off"] <= 360):
            raise RpcError(
                source,
                f"LAT_OFF {scalars['lat_off']:g}, LONG_OFF {scalars['long_off']:g}",
                "latitude and longitude in degrees",
            )
        for name in ("line_den_coeff", "samp_den_coeff"):
            # Everything is divided by this term in the middle of the image.
            if terms[name][0] == 0:
                raise RpcError(source, f"a zero first term of {name.upper()}", "1, as every RPC has")
        return cls(**scalars, **terms)  # type: ignore[arg-type]


_SCALARS = (
    "LINE_OFF",
    "LINE_SCALE",
    "SAMP_OFF",
    "SAMP_SCALE",
    "LONG_OFF",
    "LONG_SCALE",
    "LAT_OFF",
    "LAT_SCALE",
    "HEIGHT_OFF",
    "HEIGHT_SCALE",
)
_POLYNOMIALS = ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")


def _words(items: Mapping[str, str | Sequence[str]], name: str, source: object) -> list[str]:
    value = items.get(name)
    words = value.split() if isinstance(value, str) else list(value or ())
    if not words:
        raise RpcError(source, f"RPC without {name}", "all ten offsets and scales and four polynomials")
    return words


def _number(word: str, name: str, source: object) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RpcError(source, f"{name} is {word[:40]!r}", "a finite number")
    return value
