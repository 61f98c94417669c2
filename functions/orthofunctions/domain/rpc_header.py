"""The footprint of an image with RPC, from the first kilobytes of its TIFF: no pixel, no raster library.

Sources: TIFF 6.0, section 2; BigTIFF; OGC GeoTIFF 1.1 (ModelTiepoint, ModelPixelScale, ModelTransformation);
"RPCs in GeoTIFF" (tag 50844); STDI-0002 volume 1, appendix E (RPC00B: order of terms).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

LonLat = tuple[float, float]
Read = Callable[[int, int], bytes]
"""``(offset, length) -> bytes``; shorter at the end of the file."""

N_TERMS = 20
MAX_VALUES = 1024  # of one tag we read; the largest has 92
MAX_ENTRIES = 4096
NEWTON_STEPS = 30
NEWTON_TOLERANCE_PX = 1e-3

_WIDTH, _LENGTH, _PIXEL_SCALE, _TIEPOINT, _TRANSFORMATION, _RPC = 256, 257, 33550, 33922, 34264, 50844
_WANTED = frozenset({_WIDTH, _LENGTH, _PIXEL_SCALE, _TIEPOINT, _TRANSFORMATION, _RPC})
_FORMATS = {1: "B", 3: "H", 4: "I", 11: "f", 12: "d", 16: "Q"}  # TIFF field types by code

_SCALARS = (
    *("LINE_OFF", "SAMP_OFF", "LAT_OFF", "LONG_OFF", "HEIGHT_OFF"),
    *("LINE_SCALE", "SAMP_SCALE", "LAT_SCALE", "LONG_SCALE", "HEIGHT_SCALE"),
)
_POLYNOMIALS = ("LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")


class RpcHeaderError(ValueError):
    """A TIFF header or an RPC that cannot be used. The message says what was found."""


@dataclass(frozen=True)
class Rpc:
    """Offsets, scales and polynomials (20 terms each). Lines and samples are 0-based, integers at pixel centres."""

    line_off: float
    samp_off: float
    lat_off: float
    long_off: float
    height_off: float
    line_scale: float
    samp_scale: float
    lat_scale: float
    long_scale: float
    height_scale: float
    line_num: tuple[float, ...]
    line_den: tuple[float, ...]
    samp_num: tuple[float, ...]
    samp_den: tuple[float, ...]

    def line_sample(self, lon_deg: float, lat_deg: float, height_m: float) -> tuple[float, float]:
        """Where a ground point lies in the full image."""
        terms = _terms(
            (lon_deg - self.long_off) / self.long_scale,
            (lat_deg - self.lat_off) / self.lat_scale,
            (height_m - self.height_off) / self.height_scale,
        )
        try:
            line = _dot(self.line_num, terms) / _dot(self.line_den, terms)
            sample = _dot(self.samp_num, terms) / _dot(self.samp_den, terms)
        except ZeroDivisionError as error:
            raise RpcHeaderError("its RPC divides by zero inside the image") from error
        return self.line_off + self.line_scale * line, self.samp_off + self.samp_scale * sample

    def lonlat(self, line: float, sample: float, height_m: float) -> LonLat:
        """Where an image point lies on the ground at a height: Newton from the RPC's centre.

        Raises
        ------
        RpcHeaderError
            Where that does not converge: the coefficients describe no camera.
        """
        lon, lat = self.long_off, self.lat_off
        step_lon, step_lat = 1e-4 * self.long_scale, 1e-4 * self.lat_scale
        for _ in range(NEWTON_STEPS):
            line0, sample0 = self.line_sample(lon, lat, height_m)
            d_line, d_sample = line - line0, sample - sample0
            if math.hypot(d_line, d_sample) < NEWTON_TOLERANCE_PX:
                return lon, lat
            line_e, sample_e = self.line_sample(lon + step_lon, lat, height_m)
            line_n, sample_n = self.line_sample(lon, lat + step_lat, height_m)
            a, b = (line_e - line0) / step_lon, (line_n - line0) / step_lat
            c, d = (sample_e - sample0) / step_lon, (sample_n - sample0) / step_lat
            determinant = a * d - b * c
            if not math.isfinite(determinant) or determinant == 0:
                break
            lon += (d * d_line - b * d_sample) / determinant
            lat += (a * d_sample - c * d_line) / determinant
            if not (abs(lon) <= 540 and abs(lat) <= 90):
                break
        raise RpcHeaderError("its RPC cannot be solved for a corner of the image")


@dataclass(frozen=True)
class TiffHeader:
    """Size of an image, and where its first pixel lies in the image its RPC describes (a crop's offset).

    ``first_line`` and ``first_sample`` are the outer edge of the first pixel; the steps are the size of a pixel in
    those of the full image.
    """

    n_lines: int
    n_samples: int
    first_line: float
    first_sample: float
    line_step: float
    sample_step: float
    rpc: Rpc | None


def footprint_lonlat(header: TiffHeader, rpc: Rpc, height: float = 0.0) -> tuple[LonLat, ...]:
    """Ring of corners and edge centres, degrees.

    ``height`` from -1 to 1 spans the heights that the RPC are made for; 0 is their middle.

    Raises
    ------
    RpcHeaderError
        Where the RPC cannot be solved there.
    """
    height_m = rpc.height_off + height * rpc.height_scale
    # outer edges: half a pixel beyond the first and last centre
    lines = [header.first_line + header.line_step * header.n_lines * part - 0.5 for part in (0.0, 0.5, 1.0)]
    samples = [header.first_sample + header.sample_step * header.n_samples * part - 0.5 for part in (0.0, 0.5, 1.0)]
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    return tuple(rpc.lonlat(lines[i], samples[j], height_m) for i, j in around)


def read_tiff_header(read: Read) -> TiffHeader:
    """Size, crop offset and RPC of the first image of a TIFF or BigTIFF.

    Raises
    ------
    RpcHeaderError
        Where it is no TIFF, is cut off before its directory ends, or lacks its size.
    """
    tags = _read_tags(read)
    try:
        n_samples, n_lines = int(tags[_WIDTH][0]), int(tags[_LENGTH][0])
    except (KeyError, IndexError) as error:
        raise RpcHeaderError("its TIFF directory has no width and length") from error
    if n_samples < 1 or n_lines < 1:
        raise RpcHeaderError(f"its TIFF directory says {n_lines} x {n_samples} pixels")
    first_sample, sample_step, first_line, line_step = _crop(tags)
    return TiffHeader(n_lines, n_samples, first_line, first_sample, line_step, sample_step, _rpc_of_tag(tags.get(_RPC)))


def rpc_of_text(text: str) -> Rpc:
    """RPC of a text file: ``NAME: value unit`` (``_RPC.TXT``, ``.geom``) or ``name = value;`` (``.RPB``).

    Raises
    ------
    RpcHeaderError
        Where a value is missing or not a number.
    """
    found = _of_rpb(text)
    if not found:
        lines = re.findall(r"^\s*([A-Za-z_]+?)(?:_(\d+))?\s*:\s*(\S+)", text, re.MULTILINE)
        # .geom counts terms from 0, the others from 1
        first = 0 if any(number and int(number) == 0 for _, number, _ in lines) else 1
        found = {
            f"{name.upper()}_{int(number) + 1 - first}" if number else name.upper(): value
            for name, number, value in lines
        }
    return _rpc_of_names(found)


def _of_rpb(text: str) -> dict[str, str]:
    """The entries of an RPB file under the names of the others; empty where it is none."""
    scalars = {name.replace("_OFF", "_OFFSET").replace("_", ""): name for name in _SCALARS}
    terms = {name.replace("_", "")[:-1]: name for name in _POLYNOMIALS}
    found = {}
    for name, value in re.findall(r"(\w+)\s*=\s*(\([^)]*\)|[^;\n]*);", text):
        key = name.upper()
        if key in scalars:
            found[scalars[key]] = value.strip()
        elif key in terms:
            numbers = value.strip("()").replace(",", " ").split()
            found |= {f"{terms[key]}_{n + 1}": number for n, number in enumerate(numbers)}
    return found


def rpc_of_dimap(root: Element) -> Rpc:
    """RPC of a DIMAP document, given its safely parsed root. Its first pixel is 1, ours 0.

    Raises
    ------
    RpcHeaderError
        Where a value is missing or not a number.
    """
    model = root.find(".//Global_RFM/Inverse_Model")
    validity = root.find(".//Global_RFM/RFM_Validity")
    if model is None or validity is None:
        raise RpcHeaderError("it has no Global_RFM with Inverse_Model and RFM_Validity")
    found = {node.tag.upper(): (node.text or "").strip() for part in (validity, model) for node in part.iter()}
    rpc = _rpc_of_names(found)
    return Rpc(**{**vars(rpc), "line_off": rpc.line_off - 1.0, "samp_off": rpc.samp_off - 1.0})


def _rpc_of_names(found: dict[str, str]) -> Rpc:
    try:
        scalars = {name.lower(): float(found[name]) for name in _SCALARS}
        terms = [tuple(float(found[f"{name}_{n}"]) for n in range(1, N_TERMS + 1)) for name in _POLYNOMIALS]
    except KeyError as error:
        raise RpcHeaderError(f"its RPC has no {error.args[0]}") from error
    except ValueError as error:
        raise RpcHeaderError(f"its RPC holds something that is no number: {error}") from error
    return _checked(Rpc(**scalars, line_num=terms[0], line_den=terms[1], samp_num=terms[2], samp_den=terms[3]))


def _rpc_of_tag(values: Sequence[float] | None) -> Rpc | None:
    if values is None:
        return None
    if len(values) < 92:
        raise RpcHeaderError(f"its RPC tag holds {len(values)} of 92 values")
    scalars = dict(zip((name.lower() for name in _SCALARS), values[2:12], strict=True))
    terms = [tuple(values[12 + N_TERMS * n : 12 + N_TERMS * (n + 1)]) for n in range(4)]
    return _checked(Rpc(**scalars, line_num=terms[0], line_den=terms[1], samp_num=terms[2], samp_den=terms[3]))


def _checked(rpc: Rpc) -> Rpc:
    scales = (rpc.line_scale, rpc.samp_scale, rpc.lat_scale, rpc.long_scale, rpc.height_scale)
    offsets = (rpc.line_off, rpc.samp_off, rpc.lat_off, rpc.long_off, rpc.height_off)
    numbers = (*scales, *offsets, *rpc.line_num, *rpc.line_den, *rpc.samp_num, *rpc.samp_den)
    if not all(math.isfinite(number) for number in numbers):
        raise RpcHeaderError("its RPC holds a value that is not finite")
    if not all(scale > 0 for scale in scales):
        raise RpcHeaderError("its RPC has a scale that is not positive")
    if not (abs(rpc.lat_off) <= 90 and abs(rpc.long_off) <= 360):
        raise RpcHeaderError("its RPC lies outside the globe")
    return rpc


def _terms(lon: float, lat: float, height: float) -> tuple[float, ...]:
    """The 20 terms of RPC00B for normalised coordinates."""
    L, P, H = lon, lat, height
    return (
        *(1.0, L, P, H, L * P, L * H, P * H, L * L, P * P, H * H),
        *(P * L * H, L**3, L * P * P, L * H * H, L * L * P, P**3, P * H * H, L * L * H, P * P * H, H**3),
    )


def _dot(coefficients: Sequence[float], terms: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(coefficients, terms, strict=True))


def _crop(tags: dict[int, tuple[float, ...]]) -> tuple[float, float, float, float]:
    """``first_sample, sample_step, first_line, line_step`` of a geotransform in pixels of the full image.

    Only an unrotated transform with both steps positive counts rows downwards; any other is a map's.
    """
    matrix, scale, tie = tags.get(_TRANSFORMATION), tags.get(_PIXEL_SCALE), tags.get(_TIEPOINT)
    if matrix is not None and len(matrix) == 16:
        unrotated = matrix[1] == 0 and matrix[4] == 0
        found = (matrix[3], matrix[0], matrix[7], matrix[5])
    elif scale is not None and tie is not None and len(scale) >= 2 and len(tie) >= 6:
        unrotated = True
        found = (tie[3] - tie[0] * scale[0], scale[0], tie[4] + tie[1] * scale[1], -scale[1])
    else:
        return 0.0, 1.0, 0.0, 1.0
    if unrotated and found[1] > 0 and found[3] > 0 and all(map(math.isfinite, found)):
        return found
    return 0.0, 1.0, 0.0, 1.0


def _read_tags(read: Read) -> dict[int, tuple[float, ...]]:
    head = read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    magic = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) >= 4 else 0
    if order is None or magic not in (42, 43):
        raise RpcHeaderError("it does not begin as a TIFF does")
    big = magic == 43
    if len(head) < (16 if big else 8):
        raise RpcHeaderError("it is cut off in its header")
    start = struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0]
    count_format, entry, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    count_size = struct.calcsize(count_format)
    (count,) = struct.unpack(f"{order}{count_format}", _exactly(read, start, count_size))
    if not 1 <= count <= MAX_ENTRIES:
        raise RpcHeaderError(f"its TIFF directory announces {count} entries")
    table = _exactly(read, start + count_size, count * entry)
    tags: dict[int, tuple[float, ...]] = {}
    for position in range(0, len(table), entry):
        tag, kind = struct.unpack_from(f"{order}HH", table, position)
        if tag not in _WANTED or kind not in _FORMATS:
            continue
        (n_values,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", table, position + 4)
        if n_values > MAX_VALUES:
            raise RpcHeaderError(f"its TIFF tag {tag} announces {n_values} values")
        size = n_values * struct.calcsize(_FORMATS[kind])
        field = table[position + entry - inline : position + entry]
        if size > inline:
            (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", field)
            field = _exactly(read, offset, size)
        tags[tag] = struct.unpack(f"{order}{n_values}{_FORMATS[kind]}", field[:size])
    return tags


def _exactly(read: Read, offset: int, length: int) -> bytes:
    data = read(offset, length)
    if len(data) != length:
        raise RpcHeaderError(f"it is cut off: {length} bytes wanted at {offset}, {len(data)} are there")
    return data
