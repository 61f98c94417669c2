"""One job: its progress, its images, why they were made where they were."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthoburst.download import fetch
from orthoburst.errors import JobFailedError
from orthoburst.http import Session
from orthocontracts.outputs import FILE_SUFFIX, FileKind

FINAL_STATES = frozenset({"successful", "failed", "dismissed"})
POLL_S = (0.5, 5.0)  # first and slowest: a job of seconds is seen at once, one of hours costs little


@dataclass(frozen=True)
class ResultFile:
    """One file of an image. Its link is signed and expires; ask for the results again for a fresh one.

    ``url`` is empty for a file that was left on site and of which there is no copy yet, see `Job.copy`.
    """

    url: str
    size_bytes: int
    md5: str


@dataclass(frozen=True)
class Result:
    """One finished image: ``image``, ``mask``, ``browse``, ``item``, and the extras that were asked for."""

    digest: str
    title: str
    files: dict[FileKind, ResultFile]

    @property
    def image_url(self) -> str:
        return self.files["image"].url

    @property
    def size_bytes(self) -> int:
        """Of the image alone."""
        return self.files["image"].size_bytes

    @property
    def file_stem(self) -> str:
        """A file name for people that stays unique: the title, and the first digits of the digest."""
        readable = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.title)
        return f"{readable}_{self.digest[:8]}"


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
    def is_over(self) -> bool:
        return self.state in FINAL_STATES

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.state}, {self.progress_percent:.0f} %>"

    def refresh(self) -> Job:
        self.status = self._session.call("GET", f"/jobs/{self.id}")
        return self

    def watch(self, on_change: Callable[[Job], None] | None = None, *, timeout_s: float | None = None) -> Job:
        """Wait until the job is over.

        Parameters
        ----------
        on_change : callable, optional
            Called with the job whenever it was seen to change.
        timeout_s : float, optional
            How long to wait at most.

        Raises
        ------
        JobFailedError
            Where it failed or was dismissed.
        TimeoutError
            Where it was not over in time; the job goes on.
        """
        started = time.monotonic()
        pause_s, slowest_s = POLL_S
        while True:
            before = self.status
            self.refresh()
            if on_change is not None and self.status != before:
                on_change(self)
            if self.is_over:
                break
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise TimeoutError(f"job {self.id} is still {self.state} after {timeout_s:g} s; it goes on")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.2, slowest_s)
        if self.state != "successful":
            raise JobFailedError(self.id, self.state, self.message)
        return self

    def results(self) -> list[Result]:
        """The images that are there; those of a running job come as they are made."""
        outputs: Sequence[dict[str, Any]] = self._session.call("GET", f"/jobs/{self.id}/results", partial="true")[
            "outputs"
        ]
        return [
            Result(
                digest=output["digest"],
                title=output["title"],
                files={
                    kind: ResultFile(output[kind].get("href", ""), int(output[kind]["size_bytes"]), output[kind]["md5"])
                    for kind in FILE_SUFFIX
                    if kind in output
                },
            )
            for output in outputs
        ]

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
        into = Path(folder)
        into.mkdir(parents=True, exist_ok=True)
        results = self.results()
        if any(not file.url for result in results for file in result.files.values()):
            for copying in self.copy():
                copying.watch()
            results = self.results()
        images = [into / f"{result.file_stem}.tif" for result in results]
        with ThreadPoolExecutor(max_workers=parallel) as pool:
            waiting = []
            for result in results:
                for kind, file in result.files.items():
                    path = into / f"{result.file_stem}{FILE_SUFFIX[kind]}"
                    waiting.append(pool.submit(fetch, file.url, path, md5=file.md5))
            for each in waiting:
                each.result()
        for result, image in zip(results, images, strict=True):
            _rename_assets(image.with_suffix(".json"), result.digest, image.stem)
        return images

    def explain(self) -> list[dict[str, Any]]:
        """For each task: where it ran or waits, why, and the figures of every pool."""
        tasks: list[dict[str, Any]] = self._session.call("GET", f"/jobs/{self.id}/explain")["tasks"]
        return tasks

    def copy(self) -> list[Job]:
        """Have images that were left on site copied into blob storage: the jobs that do so, if any is needed."""
        answer = self._session.call("POST", f"/jobs/{self.id}/copies")
        return [Job(self._session, status) for status in answer["jobs"]]

    def retry(self) -> Job:
        """The same request again, as a new job, where this one failed or was cancelled."""
        return Job(self._session, self._session.call("POST", f"/jobs/{self.id}/retry"))

    def cancel(self) -> Job:
        """Stop the work nobody else waits for."""
        self.status = self._session.call("DELETE", f"/jobs/{self.id}")
        return self


def _rename_assets(item: Path, digest: str, stem: str) -> None:
    """Let a downloaded STAC Item name the files as they lie beside it, not as the store names them."""
    document = json.loads(item.read_text())
    for asset in document.get("assets", {}).values():
        asset["href"] = asset["href"].replace(digest, stem)
    item.write_text(json.dumps(document, indent=1))
