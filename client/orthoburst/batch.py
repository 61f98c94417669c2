"""Many jobs that were submitted together: seen in one request, fetched in parallel, tried again where they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthoburst import html
from orthoburst.errors import DownloadError, RefusedError
from orthoburst.http import Session
from orthoburst.job import Job
from orthoburst.result import Result, download
from orthoburst.watching import bar, wait_until

if TYPE_CHECKING:
    import geopandas

JOBS_AT_ONCE = 16
"""Whose results are asked for together: links expire, so not those of a thousand before the first is fetched."""
ROWS_SHOWN = 20
_NOTHING_YET = frozenset({404, 422})
"""What the service answers where a job that is at work, or failed, has no image."""
_UNFINISHED = frozenset({"accepted", "running"})


class Batch:
    """A batch as last seen; ``refresh`` looks again, at all of its jobs in one request.

    It is a sequence of its jobs, in the order in which they were submitted.
    """

    def __init__(self, session: Session, document: dict[str, Any]) -> None:
        self._session = session
        self._take(document)

    @property
    def id(self) -> str:
        return str(self.document["batchID"])

    @property
    def name(self) -> str:
        return str(self.document.get("name", ""))

    @property
    def total(self) -> int:
        return int(self.document["total"])

    @property
    def states(self) -> dict[str, int]:
        """How many jobs are in each state that some are in."""
        return dict(self.document["states"])

    @property
    def progress_percent(self) -> float:
        return float(self.document["progress"])

    @property
    def is_over(self) -> bool:
        return not _UNFINISHED & self.states.keys()

    @property
    def jobs(self) -> list[Job]:
        """Asked for the first time where the batch comes from a list."""
        if self._jobs is None:
            self.refresh()
        assert self._jobs is not None  # an answer about one batch has its jobs
        return self._jobs

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, number: int) -> Job:
        return self.jobs[number]

    def __repr__(self) -> str:
        return f"<Batch {self.id}: {self._said()}>"

    def _said(self) -> str:
        states = ", ".join(f"{n} {state}" for state, n in self.states.items())
        return f"{self.total} jobs, {states}"

    def _repr_html_(self) -> str:
        rows = [
            ("batch", html.text(f"{self.name} ({self.id})" if self.name else self.id)),
            ("jobs", html.text(self.total)),
            ("states", html.parts(self.states)),
            ("progress", html.progress(self.progress_percent)),
        ]
        shown = (self._jobs or [])[:ROWS_SHOWN]
        jobs = html.table(
            (job.title or job.id, f"{html.state(job.state)} {html.text(job.message if job.state == 'failed' else '')}")
            for job in shown
        )
        left = len(self._jobs or []) - len(shown)
        return html.table(rows) + (jobs if shown else "") + (f"<p>and {left} more</p>" if left > 0 else "")

    def refresh(self) -> Batch:
        pages = list(self._session.pages(f"/batches/{self.id}"))
        self._take({**pages[0], "jobs": [job for page in pages for job in page["jobs"]]})
        return self

    def watch(
        self,
        on_change: Callable[[Batch], None] | None = None,
        *,
        progress: bool | None = None,
        timeout_s: float | None = None,
    ) -> Batch:
        """Wait until every job is over. Some may have failed: ``states`` and ``filter`` say which.

        Parameters
        ----------
        on_change : callable, optional
            Called with the batch whenever it was seen to change.
        progress : bool, optional
            Whether to show a bar; by default in a terminal or a notebook, unless there is an ``on_change``.
        timeout_s : float, optional
            How long to wait at most.

        Raises
        ------
        TimeoutError
            Where it was not over in time; the jobs go on.
        """
        with bar(False if progress is None and on_change is not None else progress) as show:

            def look() -> bool:
                before = self.document
                self.refresh()
                show(f"{self.name or self.id}: {self._said()}", self.progress_percent)
                if on_change is not None and self.document != before:
                    on_change(self)
                return self.is_over

            wait_until(look, lambda: f"batch {self.id} has {self._said()}", timeout_s)
        return self

    def filter(
        self,
        state: str | Iterable[str] | None = None,
        *,
        title: str | None = None,
        where: Callable[[Job], bool] | None = None,
    ) -> list[Job]:
        """Its jobs of one or several states, with a word in their title, or that answer a question with yes.

        >>> batch.filter(state="failed", title="S1A_IW")                                    # doctest: +SKIP
        """
        states = {state} if isinstance(state, str) else None if state is None else set(state)
        return [
            job
            for job in self.jobs
            if (states is None or job.state in states)
            and (title is None or title in job.title)
            and (where is None or where(job))
        ]

    def results(self) -> list[Result]:
        """Every image that is there, once, however many jobs have it."""
        return [result for some in self._results_by_parts() for result in some]

    def download(self, folder: str | Path, *, parallel: int = 8, progress: bool | None = None) -> list[Path]:
        """Fetch every image that is there, with the files beside it.

        Files already there and whole are not fetched again; a cut download is resumed.

        Returns
        -------
        list of Path
            The images.

        Raises
        ------
        DownloadError
            Where files do not arrive whole; all others have been fetched by then.
        """
        paths: list[Path] = []
        faults: list[DownloadError] = []
        n_jobs = 0
        with bar(progress) as show:
            for some in self._results_by_parts():
                for result in some:
                    show(f"{len(paths)} images fetched", 100 * n_jobs / max(1, self.total))
                    try:
                        paths += download([result], Path(folder), parallel)
                    except DownloadError as fault:
                        faults.append(fault)
                n_jobs += JOBS_AT_ONCE
            show(f"{len(paths)} images fetched", 100)
        if faults:
            raise DownloadError(faults[0].path, f"{faults[0].found} (and {len(faults) - 1} more)") from faults[0]
        return paths

    def cancel(self) -> Batch:
        """Stop every job that is not over."""
        self._take(self._session.call("DELETE", f"/batches/{self.id}"))
        return self

    def retry_failed(self) -> Batch:
        """Try every failed job again, as a new job in its place. Images that are there are not made again."""
        self._take(self._session.call("POST", f"/batches/{self.id}/retry", safe=True))
        return self

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """The images as a table with their outlines. Needs geopandas: ``pip install 'orthoburst[geo]'``."""
        from orthoburst.features import frame_of  # noqa: PLC0415 (geopandas is optional)

        done = self.filter(state="successful")
        with ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
            return frame_of(list(zip(done, pool.map(Job.results, done), strict=True)))

    def _results_by_parts(self) -> Iterator[list[Result]]:
        """Images not told of before, of some jobs at a time."""
        seen: set[str] = set()
        jobs = self.filter(("successful", "running", "failed"))  # what failed may have some of its images
        with ThreadPoolExecutor(JOBS_AT_ONCE) as pool:
            for start in range(0, len(jobs), JOBS_AT_ONCE):
                found: list[Result] = []
                for results in pool.map(_results_of, jobs[start : start + JOBS_AT_ONCE]):
                    found += [one for one in results if one.digest not in seen]
                    seen |= {one.digest for one in results}
                yield found

    def _take(self, document: dict[str, Any]) -> None:
        self.document = document
        jobs: Sequence[dict[str, Any]] | None = document.get("jobs")
        self._jobs = None if jobs is None else [Job(self._session, status) for status in jobs]


def _results_of(job: Job) -> list[Result]:
    try:
        return job.fetchable_results() if job.state == "successful" else job.results()
    except RefusedError as error:
        if job.state == "successful" or error.status not in _NOTHING_YET:
            raise
        return []
