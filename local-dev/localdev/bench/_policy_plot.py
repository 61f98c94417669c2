"""A picture of the replays: what each strategy costs, and whose deadlines it makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from localdev.bench.policy import Replays

_DPI = 130


def draw(replays: Sequence[Replays], name: str, path: Path) -> None:
    """Write a PNG: cloud cost at every overload beside the bound, and waits under the policy."""
    figure, (cost, waits) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    bars = (
        ("clairvoyant bound", "#888888", [one.bound_s for one in replays]),
        ("orthoburst", "#1b7837", [one.policy.cloud_s for one in replays]),
        ("burst when full", "#e08214", [one.burst.cloud_s for one in replays]),
        ("cloud only", "#b2182b", [one.cloud.cloud_s for one in replays]),
    )
    for k, (label, colour, seconds) in enumerate(bars):
        at = [x + 0.2 * (k - 1.5) for x in range(len(replays))]
        heights = [one.eur(spent) for one, spent in zip(replays, seconds, strict=True)]
        drawn = cost.bar(at, heights, 0.19, label=label, color=colour)
        cost.bar_label(drawn, [f"{height:.0f}" for height in heights], fontsize=7)
    hits = [f"overload {one.overload:g}\n{100 * one.policy.hits:.1f} % in time" for one in replays]
    cost.set_xticks(range(len(replays)), hits)
    cost.set_ylabel("cloud, EUR")
    cost.set_title(f"Cost of {name}")
    cost.set_ylim(top=1.25 * max(one.eur(one.cloud.cloud_s) for one in replays))
    cost.legend(fontsize=8, ncols=2, loc="upper left")
    for one in replays:
        ordered = sorted(one.policy.waits_s)
        share = [(k + 1) / len(ordered) for k in range(len(ordered))]
        waits.plot([wait / 3600 for wait in ordered], share, label=f"overload {one.overload:g}")
    waits.set_xlabel("wait, hours")
    waits.set_ylabel("share of tasks")
    waits.set_title("Waits: work with late deadlines gives way")
    waits.grid(alpha=0.3)
    waits.legend(fontsize=8)
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
