"""Gauges for Prometheus, where no collector receives them."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from orthofunctions.api.context import Operator
from orthofunctions.domain.prometheus import MEDIA_TYPE, exposition
from orthofunctions.usecases.gauges import read_gauges

router = APIRouter()

_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/metrics", response_class=Response, responses=_ANSWER)
def metrics(asked: Operator) -> Response:
    """Queues, waiting tasks, workers and money as they are now. Prometheus sends a key as its bearer token."""
    text = exposition(read_gauges(asked.system.ports, asked.system.rules))
    return Response(text, media_type=MEDIA_TYPE)
