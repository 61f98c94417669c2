"""One job: its progress, its images, why they were made where they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthoburst import html
from orthoburst.errors import JobFailedError
from orthoburst.http import Session
from orthoburst.result import Result, download
from orthoburst.watching import bar, wait_until

if TYPE_CHECKING:
    import geopandas

FINAL_STATES = frozenset({"successful", "failed", "dismissed"})


class Job:
    """A job as last seen; ``refresh`` looks again."""

    def __init__(self, session: Session, status: dict[str, Any]) -> None:
        self._session = session
        self.status = status

    @property
    def id(self) -> str:
        return str(self.status["jobID"])

    @property
    def state(self) -> str:
        """``accepted``, ``running``, ``successful``, ``failed`` or ``dismissed``."""
        return str(self.status["status"])

    @property
    def progress_percent(self) -> float:
        return float(self.status.get("progress", 0))

    @property
    def message(self) -> str:
        return str(self.status.get("message", ""))

    @property
    def request_id(self) -> str:
        return str(self.status.get("request_id", ""))

    @property
    def title(self) -> str:
        """What it is about, where the service says so."""
        return str(self.status.get("title") or self.request_id)

    @property
    def is_over(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_pinned(self) -> bool:
        """Whether its results are kept until it is let go, as last seen."""
        return bool(self.status.get("pinned", False))

    @property
    def replaces(self) -> tuple[str, ...]:
        """Ids of jobs whose images of the same places it makes again: of all slices of the pass now, or with the
        precise orbit. Those stay until they expire."""
        return tuple(map(str, self.status.get("replaces") or ()))

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.state}, {self.progress_percent:.0f} %>"

    def _repr_html_(self) -> str:
        return html.table(
            [
                ("job", html.text(self.id)),
                *([("for", html.text(self.title))] if self.title else []),
                ("state", html.state(self.state)),
                ("progress", html.progress(self.progress_percent)),
                *([("message", html.text(self.message))] if self.message else []),
            ]
        )

    def refresh(self) -> Job:
        self.status = self._session.call("GET", f"/jobs/{self.id}")
        return self

    def watch(
        self,
        on_change: Callable[[Job], None] | None = None,
        *,
        progress: bool | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Wait until the job is over.

        Parameters
        ----------
        on_change : callable, optional
            Called with the job whenever it was seen to change.
        progress : bool, optional
            Whether to show a bar; by default in a terminal or a notebook, unless there is an ``on_change``.
        timeout_s : float, optional
            How long to wait at most.

        Raises
        ------
        JobFailedError
            Where it failed or was dismissed.
        TimeoutError
            Where it was not over in time; the job goes on.
        """
        with bar(False if progress is None and on_change is not None else progress) as show:

            def look() -> bool:
                before = self.status
                self.refresh()
                show(f"{self.id} {self.state}", 100 if self.is_over else self.progress_percent)
                if on_change is not None and self.status != before:
                    on_change(self)
                return self.is_over

            wait_until(look, lambda: f"job {self.id} is still {self.state}", timeout_s)
        if self.state != "successful":
            raise JobFailedError(self.id, self.state, self.message)
        return self

    def results(self) -> list[Result]:
        """The images that are there; those of a running job come as they are made."""
        answer = self._session.call("GET", f"/jobs/{self.id}/results", partial="true")
        return [Result.of(output) for output in answer["outputs"]]

    def download(self, folder: str | Path, *, parallel: int = 4) -> list[Path]:
        """Fetch the images, with their masks, STAC Items, browse images and extras beside them.

        Files already there and whole are not fetched again; a cut download is resumed. Images that were left on site
        are copied first.

        Returns
        -------
        list of Path
            The images, in the order of ``results``.

        Raises
        ------
        DownloadError
            Where a file does not arrive whole.
        JobFailedError
            Where images could not be copied from the site.
        """
        return download(self.fetchable_results(), Path(folder), parallel)

    def fetchable_results(self) -> list[Result]:
        """The images that are there; those that were left on site are copied first, which is waited for."""
        results = self.results()
        if any(not file.url for result in results for file in result.files.values()):
            for copying in self.copy():
                copying.watch(progress=False)
            results = self.results()
        return results

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """The images as a table with their outlines. Needs geopandas: ``pip install 'orthoburst[geo]'``."""
        from orthoburst.features import frame_of  # noqa: PLC0415 (geopandas is optional)

        return frame_of([(self, self.results())])

    def explain(self) -> list[dict[str, Any]]:
        """For each task: where it ran or waits, why, and the figures of every pool."""
        tasks: list[dict[str, Any]] = self._session.call("GET", f"/jobs/{self.id}/explain")["tasks"]
        return tasks

    def trace(self) -> dict[str, Any]:
        """The job's timeline: what happened when, and where the time went.

        ``path`` are the stretches that the job's end followed from, without a gap, each with its ``phase``, ``start``,
        ``end`` (UTC) and ``seconds``; ``longest`` says in words what most of it was; ``tasks`` have the stretches of
        each, ``phases`` the seconds of all tasks, and ``events`` are in the order of their times.
        """
        document: dict[str, Any] = self._session.call("GET", f"/jobs/{self.id}/trace")
        return document

    def whereabouts(self) -> list[dict[str, Any]]:
        """For each product that was named by its official name alone: ``asked``, ``ref`` (where it lies; None while it
        is fetched) and ``how`` it was found."""
        products: list[dict[str, Any]] = self._session.call("GET", f"/jobs/{self.id}/explain")["products"]
        return products

    def callbacks(self) -> list[dict[str, Any]]:
        """What was told to the URLs that wanted to be told, and whether it arrived."""
        answer = self._session.call("GET", f"/jobs/{self.id}/callbacks")
        found: list[dict[str, Any]] = answer["callbacks"]
        return found

    def copy(self) -> list[Job]:
        """Have images that were left on site copied into blob storage: the jobs that do so, if any is needed."""
        answer = self._session.call("POST", f"/jobs/{self.id}/copies", safe=True)
        return [Job(self._session, status) for status in answer["jobs"]]

    def retry(self) -> Job:
        """The same request again, as a new job, where this one failed or was cancelled."""
        return Job(self._session, self._session.call("POST", f"/jobs/{self.id}/retry", safe=True))

    def cancel(self) -> Job:
        """Stop the work nobody else waits for."""
        self.status = self._session.call("DELETE", f"/jobs/{self.id}")
        return self

    def pin(self) -> Job:
        """Keep its results until it is let go, past the day on which they would expire."""
        self.status = self._session.call("POST", f"/jobs/{self.id}/pin", safe=True)
        return self

    def unpin(self) -> Job:
        """Let its results expire as any others."""
        self.status = self._session.call("DELETE", f"/jobs/{self.id}/pin")
        return self
