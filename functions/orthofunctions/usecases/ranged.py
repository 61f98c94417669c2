"""A blob as a file that is read by range: a zip's directory costs its last kilobytes, not its gigabytes."""

from __future__ import annotations

import errno
import io
import os
from collections import OrderedDict

from orthofunctions.ports import Blobs

BLOCK_BYTES = 256 * 1024  # one request's latency costs about what this takes to arrive
KEPT_BLOCKS = 16


class RangedBlob(io.RawIOBase):
    """A read-only, seekable view of a blob of known size. Raises BlobMissingError where the blob has gone."""

    def __init__(self, blobs: Blobs, container: str, name: str, size_bytes: int) -> None:
        self._blobs, self._container, self._name = blobs, container, name
        self._size = size_bytes
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
        data = self._blobs.read(self._container, self._name, offset=number * BLOCK_BYTES, length=BLOCK_BYTES)
        self.fetched_bytes += len(data)
        self._blocks[number] = data
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return data
