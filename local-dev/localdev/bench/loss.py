"""All of a centre's workers vanish at once, under work: the cloud stays within its budget, the work comes back."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localdev.bench.case import Case
from localdev.chaos.loss import Loss, LossOrder, mass_loss

CLOUD_SLOTS, TASKS_AN_AGENT, EUR_A_SLOT = 20, 1.25, 0.1
NOTICED_WITHIN_S = 5.0
NOTHING_EUR = 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=100, help="how many are lost (default 100)")


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """One loss, once."""
    order = LossOrder(
        agents=options.agents, cloud=CLOUD_SLOTS, tasks=round(TASKS_AN_AGENT * options.agents),
        budget_eur=EUR_A_SLOT * CLOUD_SLOTS,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-loss-") as scratch:
        seen = mass_loss(Path(scratch), order)
    yield from _cases(order, seen)


def _cases(order: LossOrder, seen: Loss) -> Iterator[Case]:
    of = f"{order.agents} agents, {order.tasks} tasks"
    yield Case(
        "noticed", seen.noticed_s, "s", f"{of}; their work given back after {seen.given_back_s:.1f} s",
        seen.noticed_s / NOTICED_WITHIN_S, f"within {NOTICED_WITHIN_S:g} s", seen.noticed_s <= NOTICED_WITHIN_S,
    )  # fmt: skip
    yield Case(
        "cloud slots", float(seen.cloud_peak), "at most", f"{order.cloud} allowed; {seen.n_cloud} tasks ran there",
        seen.cloud_peak / order.cloud, "never more", seen.cloud_peak <= order.cloud,
    )  # fmt: skip
    most_eur = order.budget_eur + NOTHING_EUR
    money = (
        f"budget {order.budget_eur:.2f}; reserved {seen.reserved_peak_eur:.2f} at most, spent {seen.spent_eur:.2f}, "
        f"{seen.overrun_eur:.3f} of it beyond what was reserved for a run"
    )
    yield Case(
        "EUR committed", seen.committed_peak_eur, "at most", f"{money}; {seen.n_looks} looks",
        seen.committed_peak_eur / order.budget_eur, "never more", seen.committed_peak_eur <= most_eur,
    )  # fmt: skip
    yield Case(
        "EUR with what runs may cost", seen.ceiling_peak_eur, "at most",
        f"budget {order.budget_eur:.2f}; {seen.n_cut_short} tasks had a run ended for want of money",
        seen.ceiling_peak_eur / order.budget_eur, "never more", seen.ceiling_peak_eur <= most_eur,
    )  # fmt: skip
    yield Case(
        "recovered", seen.recovered_s, "s from their return",
        f"{seen.n_back} tasks ran on those that came back, the first after {seen.back_s:.1f} s", None, "", None,
        "nothing was promised",
    )  # fmt: skip
    yield Case("lost", float(seen.lost), "", of, None, "0", seen.lost == 0)
