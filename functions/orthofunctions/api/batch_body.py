"""The body of ``POST /batches``: every execution checked before anything is written, every fault told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from orthocontracts.batches import MAX_EXECUTIONS
from orthocontracts.model import Identifier
from orthocontracts.requests import Request
from orthofunctions.api.bodies import parse_json
from orthofunctions.api.execution import request_of
from orthofunctions.api.problems import Error, ProblemError, error, errors_of, invalid
from orthofunctions.domain.processes import PROCESSES
from orthofunctions.domain.targets import AllowedHosts

PROCESS = "orthorectify"
"""Of an execution that names none."""


class BatchBody(BaseModel):
    """What is around the executions."""

    model_config = ConfigDict(extra="forbid")

    batch: Identifier | None = None
    name: str | None = Field(default=None, max_length=200)
    validate_only: StrictBool = False
    executions: list[Any] = Field(min_length=1, max_length=MAX_EXECUTIONS)


@dataclass(frozen=True)
class AskedBatch:
    """A batch as it was asked for: a request for each execution, or what is wrong with it."""

    batch: str
    name: str | None
    validate_only: bool
    executions: Sequence[Request | list[Error]]

    @property
    def errors(self) -> list[Error]:
        return [one for found in self.executions if isinstance(found, list) for one in found]


def parse_batch(data: bytes, user: str, hosts: AllowedHosts, base_url: str) -> AskedBatch:
    """A batch out of a body.

    Raises
    ------
    ProblemError
        400 where it is no batch. What is wrong with single executions is in the answer.
    """
    document = parse_json(data)
    if not isinstance(document, dict):
        raise invalid([error("body", "it must be an object with executions", found=document, expected="an object")])
    try:
        body = BatchBody.model_validate(document)
    except ValidationError as trouble:
        raise invalid(errors_of(trouble.errors(include_url=False))) from trouble
    batch = body.batch or f"b{uuid4().hex}"
    executions: list[Request | list[Error]] = []
    seen: dict[str, int] = {}
    for index, one in enumerate(body.executions):
        try:
            request = _request(one, _default_id(batch, index), user, hosts, base_url)
            first = seen.setdefault(request.request_id, index)
            if first != index:
                said = f"execution {first} has it too: each needs its own"
                raise invalid([error("inputs.request_id", said, found=request.request_id)])
        except ProblemError as trouble:
            executions.append([{"index": index, **fault} for fault in trouble.document["errors"]])
        else:
            executions.append(request.model_copy(update={"batch": batch}))
    return AskedBatch(batch, body.name, body.validate_only, executions)


def _request(execution: Any, default_id: str, user: str, hosts: AllowedHosts, base_url: str) -> Request:
    if not isinstance(execution, dict):
        raise invalid([error("body", "an execution is an object with inputs", found=execution, expected="an object")])
    name = execution.get("process", PROCESS)
    if not isinstance(name, str) or name not in PROCESSES:
        raise invalid([error("process", "there is no such process", found=name, expected=" or ".join(PROCESSES))])
    document = {key: value for key, value in execution.items() if key != "process"}
    if isinstance(document.get("inputs"), dict):
        document["inputs"] = {"request_id": default_id, **document["inputs"]}
    return request_of(document, PROCESSES[name], user, hosts, base_url)


def _default_id(batch: str, index: int) -> str:
    """``<batch>-<index>``, also of a batch whose own id is as long as ids may be."""
    return f"{batch[: 62 - len(str(index))]}-{index}"
