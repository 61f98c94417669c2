"""Runs a function app through Microsoft's Python runtime: what the functions host of Azure has its worker do.

usage: python runtime_worker.py APP_FOLDER < invocations.json     (a list of {"function", "type", "value", "metadata"})

``azure_functions_runtime`` is written against the protobuf classes of its gRPC channel, which are not published on
their own; it only fills them in and reads their fields, so plain objects take their place here. Prints one JSON
object: the functions as the runtime and as ``localdev.host`` index them, and what each invocation gave.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A protobuf message: what it was built with; a union knows which of its fields is set."""

    def WhichOneof(self, _: str) -> str | None:
        return next(iter(vars(self)), None)


class Protos:
    """The runtime's view of the generated module: every message class, and the few enum values it compares with."""

    class BindingInfo(Message):
        """Directions and data types; the runtime compares them with what azure.functions says."""

        out, inout, undefined = 1, 2, 0

    class StatusResult(Message):
        """How a request ended."""

        Success, Failure = "success", "failure"

    def __getattr__(self, name: str) -> type[Message]:
        if name == "TypedData":
            return Message
        return type(name, (Message,), {})


def request(**fields: Any) -> SimpleNamespace:
    """A request as the worker's proxy hands it to the runtime."""
    return SimpleNamespace(request=SimpleNamespace(**fields), properties={"host": "127.0.0.1", "protos": Protos()})


def typed(kind: str, value: Any) -> Message:
    """What triggered a function, in the wire's form."""
    if kind == "bytes":
        return Message(bytes=value.encode())
    if kind == "http":
        body = Message(bytes=value.pop("body").encode())
        return Message(http=SimpleNamespace(**value, body=body))
    if kind == "model_binding_data":
        content = SimpleNamespace(version="1.0", source="AzureStorageBlobs", content_type="application/json")
        content.content = json.dumps(value).encode()
        return Message(model_binding_data=content)
    return Message(**{kind: value})


def plain(value: Any) -> Any:
    """A message as JSON."""
    if isinstance(value, Message):
        return {name: plain(each) for name, each in vars(value).items()}
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


async def main(folder: Path, invocations: list[dict[str, Any]]) -> dict[str, Any]:
    import azure_functions_runtime as runtime

    init = SimpleNamespace(capabilities={}, function_app_directory=str(folder))
    started = await runtime.worker_init_request(request(worker_init_request=init))
    if started.result.status != "success":
        return {"error": started.result.exception.message}
    runtime.start_threadpool_executor()
    metadata = await runtime.functions_metadata_request(request())
    indexed = {each.name: each for each in metadata.function_metadata_results}
    results = []
    for order in invocations:
        function = indexed[order["function"]]
        trigger = next(json.loads(raw) for raw in function.raw_bindings if "Trigger" in json.loads(raw)["type"])
        invocation = SimpleNamespace(
            invocation_id=f"invocation-{len(results)}",
            function_id=function.function_id,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            trigger_metadata={name: typed(*value) for name, value in order.get("metadata", {}).items()},
            input_data=[],
        )
        data = Message(data=typed(order["type"], order["value"]))
        invocation.input_data.append(_named(trigger["name"], data))
        answer = await runtime.invocation_request(request(invocation_request=invocation))
        results.append(plain(answer))
    runtime.stop_threadpool_executor()
    bindings = {
        name: sorted((json.loads(raw)["type"], json.loads(raw)["name"]) for raw in each.raw_bindings)
        for name, each in indexed.items()
    }
    return {"runtime": bindings, "localdev": localdev_view(folder), "results": results}


def _named(name: str, data: Message) -> Message:
    """A parameter binding: a union of its data, which also has a name."""
    binding = Message(rpc_data=None)
    binding.__dict__.clear()
    binding.data = data.data
    binding.WhichOneof = lambda _: "data"
    binding.name = name
    return binding


def localdev_view(folder: Path) -> dict[str, str]:
    """What kind of trigger this project's host sees on each function."""
    from localdev.host.loader import load_app

    return {each.name: type(each.trigger).__name__ for each in load_app(folder).functions}


if __name__ == "__main__":
    app = Path(sys.argv[1]).resolve()
    os.chdir(app)
    sys.path.insert(0, str(app))
    print(json.dumps(asyncio.run(main(app, json.load(sys.stdin)))))
