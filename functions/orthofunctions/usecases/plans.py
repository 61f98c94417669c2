"""Reading a task's specification back from its job's plan."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.outputs import OutputIdentity
from orthocontracts.tasks import TaskSpec
from orthocontracts.wire import explain
from orthofunctions.domain.plans import Plan
from orthofunctions.domain.records import TaskRecord
from orthofunctions.ports import BlobMissingError, Ports


class PlanLostError(Exception):
    """A job's plan is gone or unreadable: its tasks can neither run nor be committed."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"the plan of job {job_id} cannot be used: {reason}. Submit the request again.")


class PlanNotUnderstoodError(PlanLostError):
    """It has words of another release: the work is not given up, but left to functions that know them."""


@dataclass(frozen=True)
class PlannedTask:
    spec: TaskSpec
    identities: dict[str, OutputIdentity]

    @property
    def digests(self) -> tuple[str, ...]:
        return self.spec.digests


@dataclass(frozen=True)
class StoredPlan:
    """The plan of a job as it lies in the store."""

    plan: Plan

    @classmethod
    def read(cls, ports: Ports, job_id: str) -> StoredPlan:
        """Raises PlanLostError where it is missing or unreadable."""
        try:
            text = ports.blobs.read(names.CONTAINER_PLANS, names.plan_blob(job_id))
            return cls(Plan.model_validate_json(text))
        except BlobMissingError as error:
            raise PlanLostError(job_id, str(error)) from error
        except ValidationError as error:
            kind = PlanLostError if error.errors()[0]["type"] == "json_invalid" else PlanNotUnderstoodError
            raise kind(job_id, explain(error)) from error

    def task(self, task_id: str) -> PlannedTask:
        """Raises PlanLostError where the plan does not name the task."""
        spec = next((spec for spec in self.plan.tasks if spec.task_id == task_id), None)
        if spec is None:
            raise PlanLostError(self.plan.job_id, f"it does not name task {task_id}")
        return PlannedTask(spec, {output.digest: output.identity for output in self.plan.outputs})


def spec_in_row(task: TaskRecord) -> TaskSpec | None:
    """The specification a task's row carries; None where there is none, or one of another age than these functions."""
    if task.spec is None:
        return None
    try:
        return TaskSpec.model_validate_json(task.spec)
    except ValidationError:
        return None


def planned_task(ports: Ports, job_id: str, task_id: str) -> PlannedTask:
    """A task as its job's plan describes it.

    Raises
    ------
    PlanLostError
        Where the plan, or the task in it, is missing or unreadable.
    """
    return StoredPlan.read(ports, job_id).task(task_id)
