"""NetCDF-4 variables by window: HDF5 says where their pieces lie, the pieces are read and inflated here.

The HDF5 library does one thing at a time, whatever the number of threads. So it is asked once for names, attributes and
the places of the chunks, and the file is closed. Bytes are read by position, inflated on threads, and the last decoded
chunks are kept, because windows that follow each other cut through the same ones. Nothing is scaled, nothing is turned
upside down: what comes out is what the file has. A variable with filters other than deflate, shuffle and Fletcher's sum
is read by the library itself.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthokernel.container import FileRange
from orthokernel.errors import AnnotationError, MissingAnnotationError, TruncatedRasterError

_SHUFFLE: Final = 2
_DEFLATE: Final = 1
_FLETCHER32: Final = 3
_KEPT_BYTES: Final = 64 * 2**20
_IS_LITTLE: Final = sys.byteorder == "little"
_EXPECTED: Final = "a complete netCDF-4 file"


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _unshuffle(mixed: NDArray[np.uint8], size: int, out: NDArray[np.uint8]) -> None:
    """Bytes of the numbers one number after the other, which lay first bytes first; a rest stays where it is.

    Two and four bytes are put together as numbers, which is vector code.
    """
    n = mixed.size // size
    if _IS_LITTLE and size == 4:
        words = out[: 4 * n].view(np.uint32)
        for k in range(n):
            low = np.uint32(mixed[k]) | np.uint32(mixed[n + k]) << 8
            words[k] = low | np.uint32(mixed[2 * n + k]) << 16 | np.uint32(mixed[3 * n + k]) << 24
    elif _IS_LITTLE and size == 2:
        halves = out[: 2 * n].view(np.uint16)
        for k in range(n):
            halves[k] = np.uint16(mixed[k]) | np.uint16(mixed[n + k]) << 8
    else:
        for k in range(n):
            for b in range(size):
                out[k * size + b] = mixed[b * n + k]
    for k in range(n * size, mixed.size):
        out[k] = mixed[k]


class RangeFile(io.RawIOBase):
    """A part of a file as a file of its own: a stored member of a zip."""

    def __init__(self, where: FileRange) -> None:
        self._file = where.path.open("rb")
        self._where, self._at = where, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `io.IOBase.seek`."""
        self._at = offset + (0, self._at, self._where.size)[whence]
        return self._at

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")
        n = max(min(len(view), self._where.size - self._at), 0)
        self._file.seek(self._where.offset + self._at)
        got: int = self._file.readinto(view[:n])
        self._at += got
        return got

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()


@dataclass(frozen=True)
class _Chunk:
    offset: int
    size: int
    skipped_filters: int


@dataclass(frozen=True)
class Variable:
    """What a file says of a variable.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : numpy dtype
    attributes : dict
        Numbers, arrays and text.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attributes: Mapping[str, Any]
    chunk_shape: tuple[int, ...]
    chunks: Mapping[tuple[int, ...], _Chunk] | None
    filters: tuple[int, ...]
    default: Any

    @property
    def fill(self) -> float | None:
        """The number that stands for none, before scaling."""
        value = self.attributes.get("_FillValue")
        return None if value is None else float(np.asarray(value).reshape(-1)[0])

    @property
    def scale(self) -> float:
        """``value = scale * number + shift``."""
        return float(np.asarray(self.attributes.get("scale_factor", 1.0)).reshape(-1)[0])

    @property
    def shift(self) -> float:
        """See `scale`."""
        return float(np.asarray(self.attributes.get("add_offset", 0.0)).reshape(-1)[0])

    def flag(self, meaning: str, default: int = 0) -> int:
        """The mask of a flag by its name in ``flag_meanings``; ``default`` where none are named."""
        masks, names = self.attributes.get("flag_masks"), self.attributes.get("flag_meanings")
        if masks is None or names is None:
            return default
        by_name = dict(zip(str(names).split(), np.asarray(masks).reshape(-1).tolist(), strict=False))
        every_bit: int = 2 ** (8 * self.dtype.itemsize) - 1
        return int(by_name.get(meaning, 0)) & every_bit


class NetcdfFile:
    """The variables of a file.

    Parameters
    ----------
    where : FileRange
    source : str
        Its name for errors.

    Raises
    ------
    TruncatedRasterError
        The file is cut off or is no HDF5 file.
    """

    def __init__(self, where: FileRange, source: str) -> None:
        self.where, self.source = where, source
        self._variables: dict[str, Variable] = {}
        try:
            with _hdf5(where) as file:
                self.attributes = {name: _plain(value) for name, value in file.attrs.items()}
                for name, item in file.items():
                    if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
                        self._variables[name] = _variable(name, item)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise TruncatedRasterError(source, f"a file that HDF5 cannot read ({error})", _EXPECTED) from error

    @property
    def names(self) -> frozenset[str]:
        """Of its variables of numbers."""
        return frozenset(self._variables)

    def variable(self, name: str) -> Variable:
        """A variable.

        Raises
        ------
        MissingAnnotationError
            There is none of that name.
        """
        if name not in self._variables:
            known = ", ".join(sorted(self._variables)) or "no variables"
            raise MissingAnnotationError(self.source, f"no variable {name}", f"it among {known}")
        return self._variables[name]

    def open(self, name: str, threads: int = 1) -> VariableReader:
        """A reader of a variable of lines and samples.

        Raises
        ------
        MissingAnnotationError, AnnotationError
        """
        return VariableReader(self, self.variable(name), threads)

    def read(self, name: str, threads: int = 1) -> NDArray[Any]:
        """All of a variable of any shape.

        Raises
        ------
        MissingAnnotationError, TruncatedRasterError
        """
        variable = self.variable(name)
        if len(variable.shape) == 2:
            with VariableReader(self, variable, threads) as reader:
                return reader.read(0, variable.shape[0], 0, variable.shape[1])
        try:
            with _hdf5(self.where) as file:
                return np.asarray(file[name][...])
        except (OSError, RuntimeError, ValueError) as error:
            raise TruncatedRasterError(self.source, f"{name} cannot be read ({error})", _EXPECTED) from error


class VariableReader:
    """Windows of a variable of lines and samples (a `BandReader`). Any thread may read.

    ``threads``: used to inflate the chunks of one window.
    """

    def __init__(self, file: NetcdfFile, variable: Variable, threads: int = 1) -> None:
        if len(variable.shape) != 2:
            raise AnnotationError(
                file.source, f"{variable.name} of {len(variable.shape)} dimensions", "lines and samples"
            )
        self.variable, self._file, self._threads = variable, file, threads
        self._descriptor: int | None = os.open(file.where.path, os.O_RDONLY)
        self._kept: OrderedDict[tuple[int, ...], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def n_lines(self) -> int:
        return self.variable.shape[0]

    @property
    def n_samples(self) -> int:
        return self.variable.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.variable.dtype.newbyteorder("=")

    @property
    def nodata(self) -> float | None:
        return self.variable.fill

    def read(self, line_start: int, line_stop: int, sample_start: int, sample_stop: int) -> NDArray[Any]:
        """``(lines, samples)`` of the half-open window, clipped to the image; may come out empty.

        Raises
        ------
        TruncatedRasterError
            The file ends before the pixels do, or they do not inflate.
        """
        l0, l1 = max(line_start, 0), min(line_stop, self.n_lines)
        s0, s1 = max(sample_start, 0), min(sample_stop, self.n_samples)
        out = np.empty((max(l1 - l0, 0), max(s1 - s0, 0)), self.dtype)
        if not out.size:
            return out
        if self.variable.chunks is None:
            return self._by_library(l0, l1, s0, s1)
        n_l, n_s = self.variable.chunk_shape
        wanted = [(i, j) for i in range(l0 // n_l, (l1 - 1) // n_l + 1) for j in range(s0 // n_s, (s1 - 1) // n_s + 1)]

        def put(at: tuple[int, int]) -> None:
            chunk = self._chunk(at)
            top, left = at[0] * n_l, at[1] * n_s
            a, b, c, d = max(l0, top), min(l1, top + n_l), max(s0, left), min(s1, left + n_s)
            out[a - l0 : b - l0, c - s0 : d - s0] = chunk[a - top : b - top, c - left : d - left]

        if self._threads > 1 and len(wanted) > 1:
            with ThreadPoolExecutor(min(self._threads, len(wanted))) as pool:
                list(pool.map(put, wanted))
        else:
            for at in wanted:
                put(at)
        return out

    def _chunk(self, at: tuple[int, int]) -> NDArray[Any]:
        with self._lock:
            if at in self._kept:
                self._kept.move_to_end(at)
                return self._kept[at]
        pixels = self._decoded(at)
        with self._lock:
            self._kept[at] = pixels
            while len(self._kept) > 1 and len(self._kept) * pixels.nbytes > _KEPT_BYTES:
                self._kept.popitem(last=False)
        return pixels

    def _decoded(self, at: tuple[int, int]) -> NDArray[Any]:
        variable, shape = self.variable, self.variable.chunk_shape
        assert variable.chunks is not None
        chunk = variable.chunks.get(at)
        if chunk is None:  # never written
            return np.full(shape, variable.default, self.dtype)
        if self._descriptor is None:
            raise ValueError(f"{self._file.source}: {variable.name} is closed")
        data: bytes | memoryview = os.pread(self._descriptor, chunk.size, self._file.where.offset + chunk.offset)
        if len(data) < chunk.size or chunk.offset + chunk.size > self._file.where.size:
            raise TruncatedRasterError(
                self._file.source, f"{variable.name} goes on after the end of the file", _EXPECTED
            )
        n = shape[0] * shape[1] * variable.dtype.itemsize
        for k in reversed(range(len(variable.filters))):
            if chunk.skipped_filters >> k & 1:
                continue
            data = self._undone(variable.filters[k], data, n)
        if len(data) != n:
            raise TruncatedRasterError(self._file.source, f"a piece of {variable.name} of {len(data)} bytes", f"{n}")
        pixels = np.frombuffer(data, variable.dtype).reshape(shape)
        return pixels if pixels.dtype.isnative else pixels.astype(self.dtype)

    def _undone(self, kind: int, data: bytes | memoryview, size: int) -> bytes | memoryview:
        """Data before a filter; ``size``: of all of it at last."""
        if kind == _FLETCHER32:
            return data[:-4]
        if kind == _DEFLATE:
            try:
                return zlib.decompress(data, bufsize=size)
            except zlib.error as error:
                raise TruncatedRasterError(
                    self._file.source, f"{self.variable.name} does not inflate ({error})", _EXPECTED
                ) from error
        mixed = np.frombuffer(data, np.uint8)
        out = np.empty(len(data), np.uint8)
        _unshuffle(mixed, self.variable.dtype.itemsize, out)
        return out.data

    def _by_library(self, l0: int, l1: int, s0: int, s1: int) -> NDArray[Any]:
        try:
            with _hdf5(self._file.where) as file:
                return np.asarray(file[self.variable.name][l0:l1, s0:s1], self.dtype)
        except (OSError, RuntimeError, ValueError) as error:
            raise TruncatedRasterError(
                self._file.source, f"{self.variable.name} cannot be read ({error})", _EXPECTED
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._kept.clear()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def __enter__(self) -> VariableReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hdf5(where: FileRange) -> Any:
    if where.offset == 0 and where.size == Path(where.path).stat().st_size:
        return h5py.File(where.path, "r")
    return h5py.File(RangeFile(where), "r")


def _variable(name: str, item: Any) -> Variable:
    chunks: dict[tuple[int, ...], _Chunk] | None = None
    filters: tuple[int, ...] = ()
    shape, chunk_shape = tuple(item.shape), tuple(item.chunks or item.shape)
    plist = item.id.get_create_plist()
    if item.chunks:
        filters = tuple(plist.get_filter(k)[0] for k in range(plist.get_nfilters()))
        if set(filters) <= {_SHUFFLE, _DEFLATE, _FLETCHER32}:
            found: dict[tuple[int, ...], _Chunk] = {}

            def note(info: Any) -> None:
                at = tuple(offset // n for offset, n in zip(info.chunk_offset, chunk_shape, strict=True))
                found[at] = _Chunk(info.byte_offset, info.size, info.filter_mask)

            item.id.chunk_iter(note)
            chunks = found
    elif item.id.get_offset() is not None:
        chunks = {(0,) * len(shape): _Chunk(item.id.get_offset(), item.id.get_storage_size(), 0)}
    attributes = {
        key: _plain(value) for key, value in item.attrs.items() if value is not None and key != "_Netcdf4Dimid"
    }
    for key in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"):
        attributes.pop(key, None)
    return Variable(name, shape, item.dtype, attributes, chunk_shape, chunks, filters, item.fillvalue)


def _plain(value: Any) -> Any:
    """An attribute as text, a number, or an array."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO" and value.size == 1:
        return _plain(value.reshape(-1)[0])
    return value
