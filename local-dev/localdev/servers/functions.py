"""The functions host of this folder as a server process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from localdev.servers.node import LOCAL_DEV
from localdev.servers.process import Server


class FunctionsHost(Server):
    """``python -m localdev.host`` for one app.

    Parameters
    ----------
    app : Path
        Folder with ``function_app.py`` and ``host.json``.
    folder : Path
        Log and ready file; made if absent.
    settings : mapping
        App settings, ``AzureWebJobsStorage`` among them; added to the environment.
    arguments : sequence of str
        Further command-line arguments (``--queue-lease-s``, ``--port``, ...).
    python_path : sequence of Path
        Further import roots for the app.
    python : sequence of str
        What runs it: an interpreter, and options of its own.
    """

    def __init__(
        self,
        app: Path,
        folder: Path,
        settings: Mapping[str, str],
        *,
        arguments: Sequence[str] = (),
        python_path: Sequence[Path] = (),
        python: Sequence[str] = (sys.executable,),
        name: str = "functions",
    ) -> None:
        self._ready_file = folder / f"{name}.json"
        command = [*python, "-m", "localdev.host", "--app", str(app), "--ready-file", str(self._ready_file)]
        roots = [str(LOCAL_DEV), *map(str, python_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        super().__init__(
            name,
            [*command, *arguments],
            log=folder / f"{name}.log",
            ready='"action": "host_ready"',
            env={**settings, "PYTHONPATH": os.pathsep.join(roots)},
        )

    def stop(self, timeout_s: float = 45.0) -> None:
        """Let what runs finish (the host's own grace time is 30 s by default), then stop."""
        super().stop(timeout_s)

    @property
    def url(self) -> str:
        """Base address of the HTTP functions, without route prefix."""
        return str(json.loads(self._ready_file.read_text())["api"])
