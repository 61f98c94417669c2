"""Arrays that nobody needs any more, to be used again: the system takes long to give memory anew."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


class Spare(Generic[T]):
    """Arrays of one type, of any shape. Any thread may take and give."""

    def __init__(self, dtype: type[T] | np.dtype[T]) -> None:
        self._dtype = dtype
        self._arrays: list[NDArray[T]] = []

    def take(self, shape: tuple[int, ...]) -> NDArray[T]:
        """An array, with anything in it."""
        n = math.prod(shape)
        try:
            whole = self._arrays.pop()
        except IndexError:
            whole = np.empty(0, self._dtype)
        return (whole[:n] if whole.size >= n else np.empty(n, self._dtype)).reshape(shape)

    def give(self, array: NDArray[Any]) -> None:
        """One that was taken, and is not looked at any more."""
        self._arrays.append(array.reshape(-1))
