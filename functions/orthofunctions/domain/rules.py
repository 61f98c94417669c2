"""The site's rules for dispatch: plain numbers, so that the same decisions run live, in tests and in replays."""

from __future__ import annotations

from dataclasses import dataclass

from orthofunctions.domain.runtimes import DEADLINE_CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Defaults suit a site; the demo shortens the waits.

    Attributes
    ----------
    patience_s : float
        How long a task without a deadline and a patience of its own waits for the HPC centre.
    max_attempts : int
        Failures and silences a task may have in all.
    backoff_s, max_backoff_s : float
        Wait after the first failed attempt, doubled after each further one.
    time_limit_s : float
        The longest a delivery may run.
    run_grace_s : float
        On top of the time limit before a silent run is recalled: two renewals of a message's lease, and the upload.
    write_grace_s : float
        No round writes for longer than this after it wrote an active row (a round stops 14 s after its last renewal of
        a lease of 20 s), so what is incomplete after it stays incomplete.
    report_grace_s : float
        A report that nobody has taken for as long shows that reports are not read in time: nothing is recalled then.
    keepalive_s : float
        How often a worker publishes its status; after three of them without one its capacity is unknown.
    last_known_s : float
        How long an on-prem pool nobody hears from counts with its last known slots; for as long again with all the
        slots it has; then as full.
    keep_results_s : float
        How long files that no catalogue entry names are kept after their last write.
    keep_jobs_s : float or None
        How long a job is kept that is over; its results as long as any job that has them. None: for ever, or as long
        as its request asks for.
    max_pinned_jobs : int
        Of a user: jobs that do not expire.
    max_candidates : int
        Pending tasks a round looks at; the most urgent first.
    deadline_confidence : float
        How sure a task that goes to the cloud at its latest start is to make its deadline.
    parallel_releases : int
        Releases a round carries out at the same time, each some six calls of storage.
    neighbour_wait_s : float
        How long an image of a standing order that lies on the seam of two slices waits for the one that is not there.
    wanted_limit_s : float
        How long a job waits for a product that ``orthoagent procure`` is to fetch; 0: nobody fetches here.
    month_budget_eur : float or None
        Cloud money that may be reserved in a month; None for no limit.
    """

    patience_s: float = 300.0
    max_attempts: int = 3
    backoff_s: float = 10.0
    max_backoff_s: float = 600.0
    time_limit_s: float = 3600.0
    run_grace_s: float = 180.0
    write_grace_s: float = 120.0
    report_grace_s: float = 15.0
    keepalive_s: float = 30.0
    last_known_s: float = 300.0
    keep_results_s: float = 86_400.0
    keep_jobs_s: float | None = None
    max_pinned_jobs: int = 100
    max_candidates: int = 1000
    deadline_confidence: float = DEADLINE_CONFIDENCE
    parallel_releases: int = 8
    neighbour_wait_s: float = 3600.0
    wanted_limit_s: float = 0.0
    month_budget_eur: float | None = None

    @property
    def longest_run_s(self) -> float:
        """From the start of a run until it is ended, whatever it is doing."""
        return self.time_limit_s + self.run_grace_s

    @property
    def aged_out_s(self) -> float:
        return 3 * self.keepalive_s
