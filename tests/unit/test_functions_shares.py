"""Turns and learned run times."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthofunctions.domain.runtimes import (
    MOST_RUNS,
    PRIOR_SIGMA,
    RUNS_TO_BELIEVE,
    Run,
    RunTimes,
    expected_startup_s,
    learn,
    start_limit_s,
)
from orthofunctions.domain.shares import FairClock, next_turn

NOW = 1.7776e9


class TestTurns:
    def test_a_user_who_was_idle_is_next(self) -> None:
        turn = next_turn(FairClock(virtual_s=500, slots=10, active_weight=5), 120, 1.0, 100, NOW)
        assert (turn.tag_s, turn.finish_s, turn.at_s) == (500, 600, NOW)

    def test_a_backlog_takes_its_share_of_the_slots(self) -> None:
        """Ten slots, five equal users: two slots each, so a backlog of 1000 slot-seconds is done in 500 s."""
        clock, finish_s = FairClock(slots=10, active_weight=5), 0.0
        for _ in range(10):
            turn = next_turn(clock, finish_s, 1.0, 100, NOW)
            finish_s = turn.finish_s
        assert turn.at_s == NOW + 450
        twice = next_turn(clock, 0.0, 2.0, 100, NOW)
        assert twice.finish_s == 50

    def test_what_was_served_owes_nothing(self) -> None:
        """Nobody else was there and all of it ran: the clock stands where the backlog ended."""
        clock = FairClock(slots=10, active_weight=1)
        finish_s = next_turn(clock, 0.0, 1.0, 9000, NOW).finish_s
        later = FairClock(clock.served(8900), 10, 1)
        assert next_turn(later, finish_s, 1.0, 10, NOW).at_s <= NOW + 10

    @settings(max_examples=50)
    @given(st.floats(0, 1e7), st.floats(0, 1e7), st.floats(0.1, 10), st.floats(0, 1e5))
    def test_never_before_now_and_never_backwards(
        self, virtual_s: float, finish_s: float, weight: float, run_s: float
    ) -> None:
        turn = next_turn(FairClock(virtual_s, 4, 2), finish_s, weight, run_s, NOW)
        assert turn.at_s >= NOW
        assert turn.finish_s >= turn.tag_s >= max(virtual_s, finish_s)


class TestStartUps:
    def test_what_the_file_says_counts_until_enough_workers_came(self) -> None:
        slow = [Run(60, 180)] * (RUNS_TO_BELIEVE - 1)
        assert expected_startup_s(60, learn(slow)) == 60
        assert 180 <= expected_startup_s(60, learn([*slow, Run(60, 180)])) < 400

    def test_the_limit_is_the_99th_percentile_within_bounds(self) -> None:
        known = RunTimes(level=math.log(2), sigma=0.1, n_runs=100)
        assert start_limit_s(100, known, 1800) == pytest.approx(200 * math.exp(0.1 * 2.3263), rel=1e-4)
        assert start_limit_s(100, known, 150) == 150
        assert start_limit_s(1, known, 1800) == 60
        assert start_limit_s(0, known, 1800) == 1800


class TestRunTimes:
    def test_the_prior_where_nothing_ran(self) -> None:
        assert learn([]) == RunTimes(sigma=PRIOR_SIGMA)
        assert learn([]).median_s(100) == 100
        assert learn([]).p90_s(100) == pytest.approx(100 * math.exp(1.2816 * PRIOR_SIGMA), rel=1e-4)

    def test_a_machine_that_is_half_as_fast_and_its_spread(self) -> None:
        rng = random.Random(1)
        sizes = [rng.uniform(20, 2000) for _ in range(MOST_RUNS)]
        learned = learn([Run(size, 2 * size * math.exp(0.2 * rng.gauss(0, 1))) for size in sizes])
        assert learned.median_s(300) == pytest.approx(600, rel=0.06)
        assert learned.sigma == pytest.approx(0.2, abs=0.04)
        assert learned.power == pytest.approx(1, abs=0.05)

    def test_outliers_do_not_count(self) -> None:
        rng = random.Random(2)
        runs = [Run(100 + k, (100 + k) * math.exp(0.1 * rng.gauss(0, 1))) for k in range(100)]
        stuck = [Run(100 + k, 50_000.0) for k in range(15)]
        assert learn(runs + stuck) == learn(runs) != RunTimes()

    def test_estimates_that_are_uncertain_are_drawn_to_the_middle(self) -> None:
        """Sizes spread by 0.7 and known to 0.4: the best estimate goes with the size to the power 0.49 / 0.65."""
        rng = random.Random(3)
        runs = []
        for _ in range(4000):
            took_s = 180 * math.exp(0.7 * rng.gauss(0, 1))
            runs.append(Run(took_s * math.exp(0.4 * rng.gauss(0, 1)), took_s))
        learned = learn(runs)
        assert learned.power == pytest.approx(0.49 / 0.65, abs=0.03)
        assert learned.sigma == pytest.approx(0.7 * 0.4 / math.sqrt(0.65), abs=0.02)

    def test_few_runs_move_the_level_and_keep_the_prior_spread(self) -> None:
        learned = learn([Run(100, 300), Run(200, 600)])
        assert learned.median_s(100) == pytest.approx(300)
        assert learned.sigma > 0.3

    def test_failures_are_a_share(self) -> None:
        assert learn([Run(10, 10)] * 9, n_failed=1).failure_share == pytest.approx(0.1)
        assert learn([], n_failed=3).failure_share == 1

    @settings(max_examples=80)
    @given(st.lists(st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6)), max_size=60))
    def test_whatever_ran_the_answer_is_finite_and_ordered(self, pairs: list[tuple[float, float]]) -> None:
        learned = learn([Run(*pair) for pair in pairs])
        for nominal_s in (0.0, 1.0, 300.0, 1e5):
            assert 0 <= learned.median_s(nominal_s) <= learned.p90_s(nominal_s) < math.inf
