"""Sixty workers of the centre vanish at once: no stampede into the cloud, nothing lost, and the work comes back."""

from __future__ import annotations

from pathlib import Path

from localdev.chaos.loss import LossOrder, mass_loss

ORDER = LossOrder(agents=60, cloud=20, tasks=75, budget_eur=2.0)


def test_a_mass_loss_spends_no_more_than_the_budget_and_loses_nothing(tmp_path: Path) -> None:
    seen = mass_loss(tmp_path, ORDER)
    print(seen)
    assert seen.lost == 0
    assert seen.n_looks > 50, "nobody watched the account"
    assert 0.5 * ORDER.budget_eur < seen.committed_peak_eur <= seen.ceiling_peak_eur <= ORDER.budget_eur + 1e-6
    assert seen.spent_eur > 0.5 * ORDER.budget_eur, "what slow runs did not need did not come back"
    assert 0 < seen.cloud_peak <= ORDER.cloud
    assert seen.n_cloud < ORDER.tasks / 2, "most had to wait for the centre"
    assert seen.n_back >= ORDER.tasks / 3, "the work did not come back"
    assert seen.noticed_s < 30  # 5 s where nothing else runs beside: `bench loss` holds it to that
