"""What a user imports: ask for images, watch them come, fetch them.

>>> import orthoburst                                            # doctest: +SKIP
>>> job = orthoburst.Client("http://127.0.0.1:7071").submit("products/S1A_….zip", tiles=["33TTG"])
>>> job.watch()
>>> job.download("images")
"""

from __future__ import annotations

from orthoburst.client import Client  # first: it says what to install where that is missing

from orthoburst.batch import Batch  # isort: skip
from orthoburst.campaign import Campaign
from orthoburst.errors import (
    DownloadError,
    JobFailedError,
    OrthoburstError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from orthoburst.execution import Wishes, execution
from orthoburst.job import Job
from orthoburst.result import Result, ResultFile
from orthoburst.search import Item

__all__ = [
    "Batch",
    "Campaign",
    "Client",
    "DownloadError",
    "Item",
    "Job",
    "JobFailedError",
    "OrthoburstError",
    "RefusedError",
    "Result",
    "ResultFile",
    "UnreachableError",
    "UsageError",
    "Wishes",
    "execution",
]
