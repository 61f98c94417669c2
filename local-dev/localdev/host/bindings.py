"""From the decorators of ``azure.functions`` to a :class:`FunctionSpec`; what this host does not do is refused."""

from __future__ import annotations

import inspect
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

import azure.functions as func
from azure.functions import blob as func_blob
from azure.functions import http as func_http
from azure.functions import queue as func_queue
from azure.functions import timer as func_timer
from azure.functions.decorators.function_app import Function
from azurefunctions.extensions.bindings.blob import BlobClient

from localdev.host.errors import AppError
from localdev.host.ncrontab import Ncrontab
from localdev.host.routes import Route
from localdev.host.specs import (
    STORAGE,
    AuthLevel,
    BlobKind,
    BlobTrigger,
    FunctionSpec,
    HttpTrigger,
    QueueOutput,
    QueueTrigger,
    TimerTrigger,
    Trigger,
    path_pattern,
)

CONTEXT = "context"
RETURN = "$return"
ALL_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "PATCH", "PUT", "OPTIONS"})


def read_function(function: Function, environ: Mapping[str, str] = os.environ) -> FunctionSpec:
    """Read one decorated function.

    Raises
    ------
    AppError
        For a trigger, binding, setting or parameter that this host does not serve as Azure would.
    """
    name = str(function.get_function_name())
    call = function.get_user_function()
    trigger = function.get_trigger()
    if trigger is None:
        raise AppError(f"function {name} has no trigger")
    if function.get_setting("retry_policy") is not None:
        raise AppError(f"function {name}: retry policies are not served here; let the queue redeliver")
    settings = _Settings(name, environ)
    hints = _hints(name, call)
    outputs: list[QueueOutput] = []
    answers_http = False
    for binding in function.get_bindings():
        if binding is trigger:
            continue
        if binding.type == "queue" and binding.direction == 1:
            where = settings.resolve(_text(binding, "queue_name")), settings.connection(binding)
            outputs.append(QueueOutput(binding.name, *where))
            _check_output_hint(name, binding.name, hints, func_queue.QueueMessageOutConverter)
        elif binding.type == "http":
            answers_http = True
            _check_output_hint(name, binding.name, hints, func_http.HttpResponseConverter)
        else:
            raise AppError(f"function {name}: binding {binding.name!r} of type {binding.type!r} is not served here")

    if answers_http != (trigger.type == "httpTrigger"):
        raise AppError(f"function {name}: an HTTP trigger and an HTTP output go together")
    wants_context = _check_parameters(name, call, trigger.name, [each.name for each in outputs])
    return FunctionSpec(
        name=name,
        call=call,
        trigger=_trigger(name, trigger, settings, hints.get(trigger.name)),
        argument=trigger.name,
        outputs=tuple(outputs),
        wants_context=wants_context,
        is_async=inspect.iscoroutinefunction(call),
    )


def _trigger(name: str, trigger: Any, settings: _Settings, hint: object) -> Trigger:
    if trigger.type == "queueTrigger":
        _check_hint(name, trigger.name, hint, func_queue.QueueMessage)
        return QueueTrigger(settings.resolve(_text(trigger, "queue_name")), settings.connection(trigger))
    if trigger.type == "timerTrigger":
        _check_hint(name, trigger.name, hint, func_timer.TimerRequest)
        try:
            schedule = Ncrontab.parse(settings.resolve(_text(trigger, "schedule")))
        except ValueError as error:
            raise AppError(f"function {name}: {error}") from error
        return TimerTrigger(schedule, bool(trigger.run_on_startup))
    if trigger.type == "httpTrigger":
        _check_hint(name, trigger.name, hint, func_http.HttpRequest)
        return _http(name, trigger)
    if trigger.type == "blobTrigger":
        container, names, prefix = path_pattern(settings.resolve(_text(trigger, "path")))
        return BlobTrigger(container, names, prefix, settings.connection(trigger), _blob_kind(name, trigger.name, hint))
    raise AppError(f"function {name}: trigger {trigger.type!r} is not served here")


def _http(name: str, trigger: Any) -> HttpTrigger:
    level: AuthLevel = trigger.auth_level.value if trigger.auth_level is not None else "function"
    methods = frozenset(str(method.value) for method in trigger.methods or ()) or ALL_METHODS
    try:
        return HttpTrigger(Route.parse(trigger.route), methods, level)
    except ValueError as error:
        raise AppError(f"function {name}: {error}") from error


def _blob_kind(name: str, argument: str, hint: object) -> BlobKind:
    """What the annotation asks for; a client only by the extension's class, as Azure refuses the SDK's of that name."""
    if hint is BlobClient:
        return "client"
    if hint is bytes:
        return "bytes"
    if hint is str:
        return "str"
    _check_hint(name, argument, hint, func_blob.InputStream)
    return "stream"


def _check_hint(name: str, argument: str, hint: object, given: type) -> None:
    if hint is None or (isinstance(hint, type) and issubclass(given, hint)):
        return
    raise AppError(f"function {name}: parameter {argument} is given a {given.__name__}, but annotated {hint!r}")


def _check_output_hint(name: str, output: str, hints: Mapping[str, Any], converter: Any) -> None:
    """Refuse what the real worker refuses, builtin ``list[str]`` and ``-> None`` of an HTTP function among it."""
    hint = hints.get("return" if output == RETURN else output)
    if hint is None:
        return
    wanted: Any = hint
    if output != RETURN:
        if typing.get_origin(hint) is not func.Out:
            raise AppError(
                f"function {name}: output {output} is annotated {hint!r}, which is no azure.functions.Out[...]"
            )
        (wanted,) = typing.get_args(hint)
    if isinstance(wanted, types.GenericAlias) or not converter.check_output_type_annotation(wanted):
        raise AppError(f"function {name}: output {output} cannot be annotated {hint!r}")


def _check_parameters(name: str, call: Any, argument: str, outputs: list[str]) -> bool:
    """Parameters and bindings must be the same set, but for ``context``; whether there is one."""
    parameters = set(inspect.signature(call).parameters)
    bound = {argument, *outputs} - {RETURN}
    if missing := sorted(bound - parameters):
        raise AppError(f"function {name} has no parameter {', '.join(missing)}, which a binding names")
    if extra := sorted(parameters - bound - {CONTEXT}):
        raise AppError(f"function {name}: no binding gives parameter {', '.join(extra)} a value")
    return CONTEXT in parameters


def _hints(name: str, call: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except NameError as error:
        raise AppError(f"function {name}: an annotation names what is not imported at run time: {error}") from error


def _text(binding: Any, attribute: str) -> str:
    value = getattr(binding, attribute, None)
    if not isinstance(value, str) or not value:
        raise AppError(f"binding {binding.name!r} has no {attribute}")
    return value


class _Settings:
    """App settings as bindings use them."""

    def __init__(self, function: str, environ: Mapping[str, str]) -> None:
        self._function, self._environ = function, environ

    def resolve(self, text: str) -> str:
        """Replace each ``%NAME%`` by the app setting."""

        def value(match: re.Match[str]) -> str:
            try:
                return self._environ[match[1]]
            except KeyError as error:
                raise AppError(f"function {self._function}: app setting {match[1]} is not set") from error

        return re.sub(r"%([^%\s]+)%", value, text)

    def connection(self, binding: Any) -> str:
        return self.resolve(getattr(binding, "connection", None) or STORAGE)
