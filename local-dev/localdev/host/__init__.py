"""A functions host for one machine: runs ``function_app.py`` with the trigger semantics of Azure Functions.

``python -m localdev.host --app functions`` loads the app in process through ``azure.functions`` and serves its queue,
blob, timer and HTTP triggers against any storage account, Azurite included. The app imports nothing of it.

Where it departs from Azure: the app shares the host's process (an ``async`` function that blocks also holds up the
host), blobs are found by listing instead of events, a timer runs in every host process instead of one, and a
function that overruns ``functionTimeout`` in a thread is given up but cannot be stopped.
"""
