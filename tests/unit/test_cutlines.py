"""Which product is asked for a pixel, in what order, and between which of its lines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orthokernel.cutlines import Slice, Turn, turns

PASS = ("sentinel-1a", 1000, 7, "IW")
INTERVAL_S = 0.0015
START = np.datetime64("2024-03-10T05:11:22.594441")


def _slice(
    first_line: float, n_lines: int, of: tuple[object, ...] = PASS, interval_s: float = INTERVAL_S
) -> Slice:  # fmt: skip
    """A slice that begins so many lines after START."""
    return Slice(of, START + np.timedelta64(round(first_line * INTERVAL_S * 1e9), "ns"), interval_s, n_lines)


def test_the_cut_lies_in_the_middle_of_the_overlap() -> None:
    first, second = turns([_slice(0, 1000), _slice(900, 1000)])
    # Lines 899.5 to 999.5 of the first are in both.
    assert (first.product, first.first_line) == (0, -0.5)
    assert first.last_line == pytest.approx(949.5, abs=1e-3)
    assert (second.product, second.first_line) == (1, -0.5)
    assert math.isnan(second.last_line)


def test_slices_come_in_the_order_of_time_and_keep_their_place() -> None:
    found = turns([_slice(1800, 1000), _slice(0, 1000), _slice(900, 1000)])
    assert [turn.product for turn in found] == [1, 2, 0]
    np.testing.assert_allclose([turn.last_line for turn in found], [949.5, 949.5, np.nan], atol=1e-3)


def test_lines_of_other_lengths_meet_at_one_moment() -> None:
    first, second = turns([_slice(0, 1000, interval_s=0.0014), _slice(800, 1000)])
    cut_s = 0.5 * (999.5 * 0.0014 + 799.5 * INTERVAL_S)
    assert first.last_line == pytest.approx(cut_s / 0.0014, abs=1e-3)
    assert second.first_line == -0.5


@pytest.mark.parametrize("gap_lines", [0.0, 0.4, 1.0, 1.4])
def test_slices_that_touch_go_on_to_the_middle_of_the_gap(gap_lines: float) -> None:
    first, second = turns([_slice(0, 1000), _slice(1000 + gap_lines, 1000)])
    assert first.last_line == pytest.approx(999.5 + 0.5 * gap_lines, abs=1e-3)
    # A little before the cut: two models differ by a hundredth of a line, and nothing may fall between them.
    assert second.first_line == pytest.approx(-0.55 - 0.5 * gap_lines, abs=1e-3)


def test_a_gap_stays_a_gap() -> None:
    first, second = turns([_slice(0, 1000), _slice(1001.6, 1000)])
    assert math.isnan(first.last_line)
    assert second.first_line == -0.5


def test_a_slice_within_another_fills_what_is_missing() -> None:
    found = turns([_slice(100, 500), _slice(0, 1000), _slice(900, 1000), _slice(0, 1000)])
    assert [turn.product for turn in found] == [1, 2, 3, 0]
    np.testing.assert_allclose([turn.last_line for turn in found], [949.5, np.nan, np.nan, np.nan], atol=1e-3)


def test_products_of_no_pass_or_of_several_stay_in_their_order() -> None:
    other = ("sentinel-1a", 1175, 9, "IW")
    found = turns([None, _slice(900, 1000, other), _slice(900, 1000), None, _slice(0, 1000)])
    assert [turn.product for turn in found] == [0, 1, 4, 2, 3]
    np.testing.assert_allclose([turn.last_line for turn in found], [np.nan, np.nan, 949.5, np.nan, np.nan], atol=1e-3)


def test_a_quick_look_is_cut_at_the_same_place() -> None:
    first, last = Turn(0, -0.5, 949.5, 1000).of_image(100)
    assert (first, last) == (-0.5, pytest.approx(94.5))
    assert Turn(0, -0.5, 949.5, 1000).of_image(1000) == (-0.5, 949.5)
    whole = Turn(0).of_image(100)
    assert whole[0] == -0.5
    assert math.isnan(whole[1])
