"""What other services tell us over HTTP: new products, by a push subscription of the Copernicus Data Space."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from orthofunctions.api.bodies import parse_json, read_body
from orthofunctions.api.problems import ProblemError, errors_of, invalid
from orthofunctions.bootstrap import System
from orthofunctions.domain.announced import NotAnnouncedError
from orthofunctions.domain.odata import Notification, announced_by
from orthofunctions.usecases.announced import pass_on

logger = logging.getLogger(__name__)
router = APIRouter()

CDSE: Final = "cdse"
_GONE: Final = "deleted"


@router.post("/doors/cdse", include_in_schema=False)
async def cdse(request: Request) -> dict[str, str]:
    """A notification: its product is put on a queue, which is all that its sender waits for. 200 also for what is no
    product of ours, which would only be sent again."""
    system: System = request.app.state.system()
    _check_sender(request, system)
    body = await read_body(request, system.settings.max_body_bytes)
    try:
        notification = Notification.model_validate(parse_json(body))
    except ValidationError as error:
        raise invalid(errors_of(error.errors())) from error
    try:
        product = announced_by(CDSE, _product(notification))
    except NotAnnouncedError as error:
        logger.info("cdse: %s", error, extra={"action": "announcement_passed_over"})
        return {"status": "passed over", "why": str(error)}
    await run_in_threadpool(pass_on, system.ports, product)
    return {"status": "taken", "product": product.ref}


def _product(notification: Notification) -> dict[str, Any]:
    if notification.SubscriptionEvent.lower() == _GONE:
        raise NotAnnouncedError(f"{notification.ProductName} has been deleted there")
    if notification.value is None:
        raise NotAnnouncedError(f"nothing is said of {notification.ProductName} but its name")
    return notification.value


def _check_sender(request: Request, system: System) -> None:
    """Raises ProblemError: 404 where the door is shut, 401 for who does not have its password."""
    settings = system.settings
    if settings.cdse_user is None or settings.cdse_password is None:
        raise ProblemError(404, "Not there", "no subscription is set up: see docs/doors.md")
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(sent, validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        given = b""
    wanted = f"{settings.cdse_user}:{settings.cdse_password.get_secret_value()}".encode()
    if not hmac.compare_digest(given, wanted):
        refused = ProblemError(401, "Not allowed", "this needs the subscription's user and password")
        refused.headers = {"WWW-Authenticate": 'Basic realm="doors"'}
        raise refused
