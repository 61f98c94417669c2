"""Import ``function_app.py`` and read its functions."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from azure.functions import AsgiMiddleware
from azure.functions.decorators.function_app import FunctionRegister

from localdev.host.bindings import read_function
from localdev.host.errors import AppError
from localdev.host.specs import FunctionSpec

SCRIPT = "function_app.py"


@dataclass(frozen=True, slots=True)
class App:
    """A loaded function app."""

    folder: Path
    register: FunctionRegister
    functions: tuple[FunctionSpec, ...]

    async def close(self) -> None:
        """End the lifespan of an ASGI app, in its own loop: ``AsgiFunctionApp`` would open another one at exit."""
        middleware = getattr(self.register, "middleware", None)
        if isinstance(middleware, AsgiMiddleware) and getattr(self.register, "startup_task_done", False):
            self.register.startup_task_done = False  # type: ignore[attr-defined]
            await middleware.notify_shutdown()


def load_app(folder: Path) -> App:
    """Load a folder that Azure would deploy.

    Raises
    ------
    AppError
        When there is not exactly one function app in ``function_app.py``, it holds no function, or one of them is
        beyond this host.
    """
    folder = folder.resolve()
    script = folder / SCRIPT
    if not script.is_file():
        raise AppError(f"{script} is missing")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise AppError(f"{script} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)

    found = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
    if len(found) != 1:
        raise AppError(f"{script} defines {len(found)} function apps; it needs exactly one")
    register = next(iter(found.values()))
    functions = tuple(read_function(function) for function in register.get_functions())
    if not functions:
        raise AppError(f"{script} defines no functions")
    return App(folder, register, functions)
