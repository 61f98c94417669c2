"""Reading a task's specification back from its job's plan."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from orthocontracts import names
from orthocontracts.outputs import OutputIdentity
from orthocontracts.tasks import TaskSpec
from orthofunctions.domain.plans import Plan
from orthofunctions.ports import BlobMissingError, Ports


class PlanLostError(Exception):
    """A task's plan is gone or unreadable: it can neither run nor be committed."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(f"the plan of task {task_id} cannot be used: {reason}. Submit the request again.")
        self.task_id = task_id


@dataclass(frozen=True)
class PlannedTask:
    spec: TaskSpec
    identities: dict[str, OutputIdentity]

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(output.digest for output in self.spec.outputs)


def planned_task(ports: Ports, job_id: str, task_id: str) -> PlannedTask:
    """A task as its job's plan describes it.

    Raises
    ------
    PlanLostError
        Where the plan, or the task in it, is missing or unreadable.
    """
    try:
        plan = Plan.model_validate_json(ports.blobs.read(names.CONTAINER_PLANS, names.plan_blob(job_id)))
    except BlobMissingError as error:
        raise PlanLostError(task_id, str(error)) from error
    except ValidationError as error:
        raise PlanLostError(task_id, f"{error.error_count()} errors, the first: {error.errors()[0]['msg']}") from error
    for spec in plan.tasks:
        if spec.task_id == task_id:
            return PlannedTask(spec, {output.digest: output.identity for output in plan.outputs})
    raise PlanLostError(task_id, "it does not name the task")
