"""What Azure Functions loads: every trigger, from the blueprints in ``orthofunctions.triggers``."""

from __future__ import annotations

import azure.functions as func

from orthofunctions.triggers import (
    announced,
    callbacks,
    capacity,
    dispatch,
    http,
    poison,
    procured,
    requests,
    results,
    timers,
    uploads,
)

app = func.FunctionApp()
for module in (uploads, requests, http, dispatch, results, capacity, callbacks, announced, procured, poison, timers):
    app.register_functions(module.blueprint)
