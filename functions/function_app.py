"""What Azure Functions loads: every trigger, from the blueprints in ``orthofunctions.triggers``."""

from __future__ import annotations

import azure.functions as func

from orthofunctions.triggers import callbacks, capacity, dispatch, http, poison, requests, results, timers, uploads

app = func.FunctionApp()
for module in (uploads, requests, http, dispatch, results, capacity, callbacks, poison, timers):
    app.register_functions(module.blueprint)
