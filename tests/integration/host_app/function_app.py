"""A small app that shows what the functions host does: every function appends what it was given to a file."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, List  # noqa: UP035  (Azure refuses the builtin list in Out)

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient

STORY = Path(os.environ["STORY"])


def tell(function: str, event: str, **fields: Any) -> None:
    line = {"function": function, "event": event, "pid": os.getpid(), "time": time.time(), **fields}
    with STORY.open("a") as story:
        story.write(json.dumps(line) + "\n")


async def web(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A bare ASGI app: answers in several parts with what it was asked."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            tell("web", message["type"])
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = (await receive())["body"]
    headers = [(b"content-type", b"text/x-parts"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 207, "headers": headers})
    for part in (scope["path"].encode(), scope["query_string"], str(len(body)).encode()):
        await send({"type": "http.response.body", "body": part + b"|", "more_body": True})
    await send({"type": "http.response.body", "body": b"end", "more_body": False})


app = func.AsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS, function_name="web")


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-work", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage, context: func.Context) -> None:
    body = message.get_body().decode()
    order = json.loads(body) if body.startswith("{") else {}
    about = {"body": body, "id": message.id, "tries": message.dequeue_count}
    tell("work", "begin", **about, inserted=str(message.insertion_time), invocation=context.invocation_id)
    time.sleep(order.get("sleep_s", 0))
    if message.dequeue_count <= order.get("failures", 0):
        raise RuntimeError("as ordered")
    tell("work", "end", **about)


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-relay", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="copies", queue_name="%PREFIX%-relayed", connection="AzureWebJobsStorage")
async def relay(message: func.QueueMessage, copies: func.Out[List[str]]) -> None:  # noqa: UP006
    await asyncio.sleep(0)
    copies.set([message.get_body().decode() + suffix for suffix in "ab"])


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-slow", connection="AzureWebJobsStorage")
async def slow(message: func.QueueMessage) -> None:
    tell("slow", "begin", tries=message.dequeue_count)
    try:
        await asyncio.sleep(30)
    finally:
        tell("slow", "interrupted")


@app.blob_trigger(arg_name="client", path="%PREFIX%-products/in/{name}", connection="Data", source="EventGrid")
def product(client: BlobClient) -> None:
    content = client.download_blob().readall().decode()
    tell("product", "begin", blob=client.blob_name, content=content)
    if content == "broken":
        raise ValueError(content)


@app.blob_trigger(arg_name="stream", path="%PREFIX%-texts/{name}.txt", connection="AzureWebJobsStorage")
async def text(stream: func.InputStream) -> None:
    tell("text", "begin", blob=stream.name, length=stream.length, content=stream.read().decode())


@app.timer_trigger(arg_name="timer", schedule="%TICKS%", run_on_startup=True)
def tick(timer: func.TimerRequest) -> None:
    tell("tick", "begin", past_due=timer.past_due)
    time.sleep(float(os.environ.get("TICK_S", "0")))
    tell("tick", "end")


@app.route(route="echo/{number:int}/{*rest}", methods=["POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    answer = {
        "url": req.url,
        "params": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Some"),
        "length": len(req.get_body()),
    }
    return func.HttpResponse(json.dumps(answer), status_code=201, mimetype="application/json")


@app.route(route="boom")
def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError(f"the password is hunter2 {req.url}")


@app.route(route="nothing", methods=["GET"])
def nothing(req: func.HttpRequest):
    pass


@app.route(route="locked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def locked(req: func.HttpRequest) -> str:
    return "open"
