"""A zip of which only some members are fetched: its directory first, then their bytes, then a directory of just them.

Members keep their places, so that what is between them are holes of the file and the directory's own words still hold.

Source: ".ZIP File Format Specification", PKWARE, version 6.3.10, sections 4.3.6 to 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from orthoagent.errors import FaultError

TAIL_BYTES: Final = 64 * 1024
"""What is fetched first: the end record, its longest comment, and most directories."""
GAP_BYTES: Final = 1 << 20
"""Members closer than this are fetched in one: a request costs about what so many bytes cost."""
WORTH_IT: Final = 0.8
"""Above this share of the zip all of it is fetched: then it serves other bands too."""
_MOST_DIRECTORY_BYTES: Final = 64 << 20
_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64: Final = struct.Struct("<4sLQL")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CHUNK: Final = 1 << 20
Span = tuple[int, int]


class NotAZipError(Exception):
    """Its end is none of a zip that this can take apart: it is fetched whole, and the kernel says what is wrong."""


@dataclass(frozen=True)
class Entry:
    """A member as the directory has it; ``raw`` are its own bytes of the directory."""

    name: str
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    raw: bytes


def directory_at(tail: bytes, size_bytes: int) -> Span:
    """Where a zip's directory lies, by its last bytes. Raises NotAZipError."""
    end_at = tail.rfind(b"PK\x05\x06")
    if end_at < 0 or end_at + _END.size > len(tail):
        raise NotAZipError("no end record")
    _, _, _, _, _, length, offset, _ = _END.unpack_from(tail, end_at)
    end = size_bytes - len(tail) + end_at
    locator_at = end_at - _LOCATOR64.size
    if locator_at >= 0 and tail[locator_at : locator_at + 4] == b"PK\x06\x07":
        record_at = _LOCATOR64.unpack_from(tail, locator_at)[2] - (size_bytes - len(tail))
        if not 0 <= record_at <= len(tail) - _END64.size or tail[record_at : record_at + 4] != b"PK\x06\x06":
            raise NotAZipError("no end record of a large zip")
        length, offset = _END64.unpack_from(tail, record_at)[8:10]
    if not 0 < length <= _MOST_DIRECTORY_BYTES or offset + length > end:
        raise NotAZipError("its directory lies outside")
    return offset, offset + length


def entries_of(directory: bytes) -> list[Entry]:
    """The members, in the directory's order. Raises NotAZipError."""
    found, at = [], 0
    while at < len(directory):
        if directory[at : at + 4] != b"PK\x01\x02" or at + _ENTRY.size > len(directory):
            raise NotAZipError("a damaged directory")
        parts = _ENTRY.unpack_from(directory, at)
        flags, method, crc, packed, size = parts[3], parts[4], parts[7], parts[8], parts[9]
        n_name, n_extra, n_comment, offset = parts[10], parts[11], parts[12], parts[16]
        stop = at + _ENTRY.size + n_name + n_extra + n_comment
        name_at = at + _ENTRY.size
        extra = directory[name_at + n_name : name_at + n_name + n_extra]
        size, packed, offset = _of_large(extra, size, packed, offset)
        name = directory[name_at : name_at + n_name].decode("utf-8" if flags & 0x800 else "cp437")
        found.append(Entry(name, method, crc, packed, size, offset, directory[at:stop]))
        at = stop
    return found


def spans_of(
    entries: Sequence[Entry], wanted: Collection[str], directory_start: int, gap_bytes: int = GAP_BYTES
) -> list[Span]:
    """The bytes of some members with their local headers, those close to each other in one."""
    starts = sorted({entry.offset for entry in entries} | {directory_start})
    following = dict(pairwise(starts))
    spans: list[Span] = []
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.name not in wanted:
            continue
        stop = following.get(entry.offset, directory_start)
        if spans and entry.offset - spans[-1][1] < gap_bytes:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((entry.offset, stop))
    return spans


def write_directory(path: Path, entries: Sequence[Entry]) -> None:
    """End a file that has these members' bytes by a directory of them. Blocks."""
    raw = b"".join(entry.raw for entry in entries)
    with path.open("r+b") as file:
        start = file.seek(0, 2)
        file.write(raw)
        n, large = len(entries), 0xFFFFFFFF
        if start >= large or n >= 0xFFFF:
            file.write(_END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, n, n, len(raw), start))
            file.write(_LOCATOR64.pack(b"PK\x06\x07", 0, start + len(raw), 1))
        file.write(_END.pack(b"PK\x05\x06", 0, 0, min(n, 0xFFFF), min(n, 0xFFFF), len(raw), min(start, large), 0))


def check_members(path: Path, entries: Sequence[Entry], name: str) -> None:
    """Hold every member against its checksum: nobody has one of the whole. Blocks.

    Raises
    ------
    FaultError
        Where one is damaged.
    """
    with path.open("rb") as file:
        for entry in entries:
            file.seek(entry.offset)
            header = file.read(_LOCAL.size)
            if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
                raise FaultError("InputDamaged", f"{name}: member {entry.name} is not where the directory says")
            file.seek(entry.offset + _LOCAL.size + sum(_LOCAL.unpack(header)[-2:]))
            if entry.method not in (0, 8):
                continue  # the kernel says what it thinks of that
            inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == 8 else None
            crc, left, size = 0, entry.packed_bytes, 0
            try:
                while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    while chunk and size <= entry.size_bytes:
                        plain = inflate.decompress(chunk, _CHUNK) if inflate else chunk
                        crc, size = zlib.crc32(plain, crc), size + len(plain)
                        chunk = inflate.unconsumed_tail if inflate else b""
            except zlib.error:
                crc = ~entry.crc
            if crc != entry.crc or size != entry.size_bytes:
                raise FaultError("InputDamaged", f"{name}: member {entry.name} is damaged (its CRC-32 is another)")


def _of_large(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset of a member beyond 4 GB, which its extra field has."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if at + 4 + length > len(extra):
            raise NotAZipError("a damaged directory")
        if kind == 1:
            numbers = list(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            values = [numbers.pop(0) if value == 0xFFFFFFFF and numbers else value for value in (size, packed, offset)]
            return values[0], values[1], values[2]
        at += 4 + length
    return size, packed, offset
