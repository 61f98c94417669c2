"""What a function sees of its invocation, through a parameter called ``context``."""

from __future__ import annotations

import threading
from typing import Any

import azure.functions as func

_storage = threading.local()


class Context(func.Context):
    """One invocation.

    Parameters
    ----------
    invocation_id : str
        A new one for every call.
    function_name, function_directory : str
        Which function, and the app's folder.
    """

    def __init__(self, invocation_id: str, function_name: str, function_directory: str) -> None:
        self._id, self._name, self._directory = invocation_id, function_name, function_directory

    @property
    def invocation_id(self) -> str:
        """Differs for every call."""
        return self._id

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def function_directory(self) -> str:
        """The app's folder."""
        return self._directory

    @property
    def thread_local_storage(self) -> Any:
        """Holds ``invocation_id`` in the thread of a sync function."""
        return _storage

    @property
    def trace_context(self) -> Any:
        """None: there is no caller's trace to continue on one machine."""
        return None

    @property
    def retry_context(self) -> Any:
        """None: functions with a retry policy are refused."""
        return None
