"""A blob as a file that is read by range: a zip's directory costs its last kilobytes, not its gigabytes."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from orthofunctions.domain.faults import UnsafeProductError
from orthofunctions.ports import BlobFacts, Reader

BLOCK_BYTES = 256 * 1024  # one request's latency costs about what this takes to arrive
KEPT_BLOCKS = 16
MOST_BYTES = 96 * 1024 * 1024
"""No product's directory and manifest come near; a zip may claim any number of members."""
MOST_DIRECTORY_BYTES = 2 * 1024 * 1024
"""Of a zip: ten times that of the product with the most files. Each member it lists takes half a kilobyte of memory."""


class RangedBlob(io.RawIOBase):
    """A read-only, seekable view of one version of a file.

    Reading raises BlobMissingError or BlobChangedError where that version has gone, UnsafeProductError where more is
    read than any product's metadata.
    """

    def __init__(self, reader: Reader, file: BlobFacts) -> None:
        self._reader, self._file = reader, file
        self.most_at_once = MOST_BYTES
        self._size = file.size_bytes
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.fetched_bytes = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "seek before the beginning")  # what a real file raises
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end - self._position > self.most_at_once:
            raise self._too_much(self.most_at_once)
        parts: list[bytes] = []
        while self._position < end:
            number, within = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[within : within + end - self._position]
            if not part:  # the blob is shorter than it was
                break
            parts.append(part)
            self._position += len(part)
        return b"".join(parts)

    def read_at(self, offset: int, length: int) -> bytes:
        self.seek(offset)
        return self.read(length)

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        if self.fetched_bytes > MOST_BYTES:
            raise self._too_much(MOST_BYTES)
        data = self._reader.read(
            self._file.container,
            self._file.name,
            offset=number * BLOCK_BYTES,
            length=BLOCK_BYTES,
            etag=self._file.etag or None,
        )
        self.fetched_bytes += len(data)
        self._blocks[number] = data
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return data

    def _too_much(self, limit_bytes: int) -> UnsafeProductError:
        return UnsafeProductError(
            f"{self._file.name}: more than {limit_bytes >> 20} MB of metadata; no product has that"
        )


@contextmanager
def ranged_zip(reader: Reader, blob: BlobFacts) -> Iterator[zipfile.ZipFile]:
    """A zip that is read by range. Its directory, which is read whole, has a limit of its own."""
    with RangedBlob(reader, blob) as file:
        file.most_at_once = MOST_DIRECTORY_BYTES
        # zipfile asks for no more than RawIOBase has
        with zipfile.ZipFile(cast(IO[bytes], file)) as archive:
            file.most_at_once = MOST_BYTES
            yield archive
