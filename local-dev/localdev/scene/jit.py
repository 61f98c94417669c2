"""The one way this package compiles a loop: typed, GIL-free, and without a disk cache (see ``jit``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def jit(function: F) -> F:
    """Compile with numba; the wrapper only keeps the function's type for the type checker.

    No ``cache=True``: caches shared between processes are known to race, and the few loops here compile in seconds.
    ``nogil`` lets bands of lines run in threads.
    """
    return cast(F, numba.njit(nogil=True, error_model="numpy")(function))
