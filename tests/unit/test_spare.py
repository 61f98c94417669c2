"""Arrays that are used again."""

from __future__ import annotations

import numpy as np

from orthokernel.spare import Spare


def test_memory_that_was_given_back_is_used_again_in_any_shape() -> None:
    spare = Spare(np.float32)
    first = spare.take((3, 4))
    spare.give(first)
    second = spare.take((2, 5))
    assert (second.shape, second.dtype) == ((2, 5), np.float32)
    assert np.shares_memory(first, second)


def test_what_is_in_use_is_not_given_to_another() -> None:
    spare = Spare(np.float64)
    assert not np.shares_memory(spare.take((3, 4)), spare.take((3, 4)))


def test_what_is_too_small_is_dropped_for_new_memory() -> None:
    spare = Spare(np.dtype(np.uint8))
    small = spare.take((2, 2))
    spare.give(small)
    large = spare.take((3, 3))
    assert large.shape == (3, 3)
    assert not np.shares_memory(small, large)
