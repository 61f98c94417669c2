"""What no scheduler can beat: the cloud work that is left when one who knows the future fills the centre."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, vstack

from localdev.bench._arrivals import Arrivals


def least_cloud_s(arrivals: Arrivals, slots: int, bin_s: float = 900.0) -> float:
    """Slot-seconds that must go to the cloud if every deadline is to be made: a lower bound.

    A linear program over a relaxation: tasks may be interrupted and spread over bins of time, but a task never uses
    more than one slot; it may begin with the bin in which it arrives and end with the one of its deadline; run times
    are known, and the cloud starts at once.
    """
    release = (np.array(arrivals.at_s) // bin_s).astype(np.int64)
    deadline = np.array(arrivals.deadline_s)
    last = int(np.max(deadline[np.isfinite(deadline)], initial=arrivals.at_s[-1]) // bin_s) + 1
    due = np.where(np.isfinite(deadline), deadline // bin_s, last).astype(np.int64)
    pairs, index = np.unique(np.stack([release, due], axis=1), axis=0, return_inverse=True)
    index = index.reshape(-1)
    n_tasks = np.bincount(index)
    work_s = np.bincount(index, weights=np.array(arrivals.run_s) + np.array(arrivals.wasted_s))
    n_bins = pairs[:, 1] - pairs[:, 0] + 1
    of_class = np.repeat(np.arange(len(pairs)), n_bins)
    offsets = np.arange(n_bins.sum()) - np.repeat(np.cumsum(n_bins) - n_bins, n_bins)
    of_bin = pairs[of_class, 0] + offsets
    variables = np.arange(of_class.size)
    ones = np.ones(of_class.size)
    per_class = csr_matrix((ones, (of_class, variables)))
    per_bin = csr_matrix((ones, (of_bin - of_bin.min(), variables)))
    limits = np.concatenate([work_s, np.full(per_bin.shape[0], slots * bin_s)])
    upper = np.minimum(n_tasks[of_class] * bin_s, work_s[of_class])
    found = linprog(
        -ones, A_ub=vstack([per_class, per_bin]).tocsr(), b_ub=limits,
        bounds=np.stack([np.zeros_like(upper), upper], axis=1), method="highs",
    )  # fmt: skip
    if not found.success:
        raise RuntimeError(f"the bound's linear program: {found.message}")
    return float(max(arrivals.work_s + found.fun, 0.0))
