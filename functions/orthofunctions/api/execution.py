"""An execute request of OGC API - Processes 1.0, read into a request: what is wrong with it is said by field."""

from __future__ import annotations

import json
import uuid
from typing import Any

from pydantic import ValidationError

import orthocontracts.requests as words
from orthocontracts.products import mission_of
from orthofunctions.api.problems import Error, error, errors_of, invalid
from orthofunctions.domain.processes import Process
from orthofunctions.domain.targets import AllowedHosts, TargetError

OUTPUT = "outputs"
"""The one output of every process."""
_MEMBERS = frozenset({"id", "inputs", "outputs", "mode", "response", "subscriber"})
_QUALIFIED = frozenset({"value", "mediaType", "encoding", "schema", "format"})
_MEDIA_TYPES = frozenset({"application/json", "application/geo+json"})
_URIS = {
    "successUri": "success_uri",
    "successUrl": "success_uri",  # as the standard's schema requires it, beside defining successUri
    "inProgressUri": "in_progress_uri",
    "failedUri": "failed_uri",
}


def request_of(document: Any, process: Process, user: str, hosts: AllowedHosts, base_url: str) -> words.Request:
    """The request that an execute document is.

    Raises
    ------
    ProblemError
        400, with all that is wrong.
    """
    if not isinstance(document, dict):
        raise invalid([error("body", "it must be an object with inputs", found=document, expected="an object")])
    errors: list[Error] = [
        error(name, "no member of an execute request", expected=", ".join(sorted(_MEMBERS)))
        for name in sorted(document.keys() - _MEMBERS)
    ]
    for name, possible in (("mode", ("async", "sync", "auto")), ("response", ("raw", "document"))):
        if name in document and document[name] not in possible:
            said = " or ".join(possible)
            errors.append(error(name, f"it must be {said}", found=document[name], expected=said))
    transmission = _transmission(document.get("outputs"), errors)
    subscriber = subscriber_in(document.get("subscriber"), hosts, errors)
    inputs = _inputs(document.get("inputs"), process, errors)
    if errors:
        raise invalid(errors)
    whole = {"request_id": f"r{uuid.uuid4().hex}", **inputs, "user": user, "subscriber": subscriber}
    try:
        request = process.as_request(process.model.model_validate_json(json.dumps(whole)))
    except ValidationError as trouble:
        raise invalid(errors_of(trouble.errors(include_url=False), "inputs")) from trouble
    except RecursionError as trouble:
        raise invalid([error("inputs", "they are nested too deeply")]) from trouble
    _check_products(request, process)
    asked = words.Asked(
        process=process.id,
        response=document.get("response", "document"),
        transmission=transmission,
        base_url=base_url if len(base_url) <= 500 else "",
    )
    return request.model_copy(update={"asked": asked})


def _inputs(inputs: Any, process: Process, errors: list[Error]) -> dict[str, Any]:
    if not isinstance(inputs, dict):
        errors.append(error("inputs", "it must be an object", found=inputs, expected="an object"))
        return {}
    for name in sorted(process.hidden & inputs.keys()):
        errors.append(error(f"inputs.{name}", f"{name}: not inputs of {process.id}, leave it out"))
    return {name: _unqualified(value) for name, value in inputs.items()}


def _unqualified(value: Any) -> Any:
    """``{"value": …, "mediaType": …}`` is how the standard has objects as inputs. None of ours has a ``value``."""
    return value["value"] if isinstance(value, dict) and "value" in value and value.keys() <= _QUALIFIED else value


def _transmission(outputs: Any, errors: list[Error]) -> Any:
    """How the output is wanted. Of one that is named without a mode it is by value: the standard's default."""
    if outputs is None or outputs == {}:
        return "reference"
    if not isinstance(outputs, dict):
        errors.append(error("outputs", "it must be an object", found=outputs, expected="an object"))
        return None
    for name in sorted(outputs.keys() - {OUTPUT}):
        errors.append(error(f"outputs.{name}", "there is no such output", found=name, expected=OUTPUT))
    wanted = outputs.get(OUTPUT, {})
    at = f"outputs.{OUTPUT}"
    if not isinstance(wanted, dict):
        errors.append(error(at, "it must be an object", found=wanted, expected="an object"))
        return None
    for name in sorted(wanted.keys() - {"transmissionMode", "format"}):
        errors.append(error(f"{at}.{name}", "no member of an output", expected="transmissionMode or format"))
    mode = wanted.get("transmissionMode", "value")
    if mode not in ("value", "reference"):
        errors.append(error(f"{at}.transmissionMode", "unknown mode", found=mode, expected="value or reference"))
    kind = wanted.get("format", {})
    media_type = kind.get("mediaType", "application/json") if isinstance(kind, dict) else None
    if not isinstance(media_type, str) or media_type not in _MEDIA_TYPES:
        expected = " or ".join(sorted(_MEDIA_TYPES))
        errors.append(error(f"{at}.format", "images are described in JSON only", found=kind, expected=expected))
    return mode


def subscriber_in(said: Any, hosts: AllowedHosts, errors: list[Error]) -> dict[str, str] | None:
    """A subscriber of the standard, in our words; what is wrong with it is added to ``errors``."""
    if said is None:
        return None
    if not isinstance(said, dict):
        errors.append(error("subscriber", "it must be an object", found=said, expected="an object"))
        return None
    found: dict[str, str] = {}
    for name, uri in said.items():
        at = f"subscriber.{name}"
        if name not in _URIS:
            errors.append(error(at, "no member of a subscriber", expected="successUri, inProgressUri or failedUri"))
        elif not isinstance(uri, str) or len(uri) > 2000:
            errors.append(error(at, "it must be an address", found=uri, expected="an https address"))
        elif found.get(_URIS[name], uri) != uri:
            errors.append(error(at, "successUri says something else: give one of both", found=uri))
        else:
            found[_URIS[name]] = uri
            try:
                hosts.target(uri)
            except TargetError as trouble:
                expected = ", ".join(hosts.patterns) or "no callback at all: this site calls nobody"
                errors.append(error(at, str(trouble), found=uri, expected=expected))
    if not said:
        errors.append(error("subscriber", "it names no address", found=said, expected="successUri"))
    return found


def _check_products(request: words.Request, process: Process) -> None:
    """Names that say their mission are looked at here; the others when the product is."""
    if process.missions is None:
        return
    expected = " or ".join(sorted(process.missions))
    wrong = [
        error(f"inputs.products.{number}", f"process {process.id} takes {expected} only", found=ref, expected=expected)
        for number, ref in enumerate(request.products)
        if mission_of(ref) not in (None, *process.missions)
    ]
    if wrong:
        raise invalid(wrong)
