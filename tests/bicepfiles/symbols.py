"""What a file says by itself: names that are defined and used, functions there are, secrets that must not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bicepfiles.evaluate import FUNCTIONS
from bicepfiles.syntax import (
    Access,
    Call,
    File,
    Lambda,
    Literal,
    Loop,
    Name,
    Object,
    Resource,
    read,
    walk,
)

_LISTS_SECRETS = re.compile(r"^(list[A-Z]\w*|getSecret)$")
_SECRET_TEXT = re.compile(
    r"AccountKey=|SharedAccess(Key|Signature)|[?&]sig=|-----BEGIN [A-Z ]*PRIVATE KEY|\bpassword\s*=|://[^/@\s]+:[^/@\s]+@",
    re.IGNORECASE,
)
_ADDRESS_NOT_KEY = "ConnectionString"
"""Of Application Insights, which has local authentication off: says where it is and lets nobody in."""
_MORE_FUNCTIONS = frozenset({"loadJsonContent", "readEnvironmentVariable"})


def complaints(file: File, files: Mapping[Path, str]) -> list[str]:
    """What is wrong with a template by itself. ``files`` are read instead of those on disk."""
    found = [*_undefined(file), *_unused(file), *_functions(file), *_modules(file, files), *_secrets(file)]
    return [f"{file.path.name}: {one}" for one in found]


def reads(file: File) -> Iterator[tuple[Resource, str]]:
    """What is asked of resources once they are there: ``properties.clientId``, say."""
    for node in (one for expression in file.expressions() for one in walk(expression)):
        if isinstance(node, Access) and isinstance(node.base, Name) and node.base.name in file.resources:
            steps = [one for one in node.steps if isinstance(one, str) and not one.startswith("::")]
            if len(steps) == len(node.steps) and steps not in (["id"], ["name"]):
                yield file.resources[node.base.name], ".".join(steps)


def free_names(node: Any, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names that an expression takes from its file."""
    if isinstance(node, Name):
        if node.name not in bound:
            yield node.name
    elif isinstance(node, Lambda):
        yield from free_names(node.body, bound | set(node.names))
    elif isinstance(node, Loop):
        yield from free_names(node.source, bound)
        yield from free_names(node.body, bound | {node.item, *([node.index] if node.index else [])})
    elif isinstance(node, tuple):
        for one in node:
            yield from free_names(one, bound)
    elif hasattr(node, "__dataclass_fields__"):
        for one in node.__dataclass_fields__:
            yield from free_names(getattr(node, one), bound)


def _undefined(file: File) -> Iterator[str]:
    known = {*file.parameters, *file.variables, *file.resources, *file.modules}
    for expression in file.expressions():
        yield from (f"{name} is not defined" for name in free_names(expression) if name not in known)


def _unused(file: File) -> Iterator[str]:
    used = {name for expression in file.expressions() for name in free_names(expression)}
    yield from (f"parameter {name} is not used" for name in file.parameters if name not in used)
    yield from (f"variable {name} is not used" for name in file.variables if name not in used)
    for name, one in file.resources.items():
        if one.existing and name not in used:
            yield f"existing resource {name} is not used"


def _functions(file: File) -> Iterator[str]:
    for node in (one for expression in file.expressions() for one in walk(expression)):
        if isinstance(node, Call) and node.function not in FUNCTIONS and node.function not in _MORE_FUNCTIONS:
            yield f"function {node.function} is not known to these checks"


def _modules(file: File, files: Mapping[Path, str]) -> Iterator[str]:
    """Every parameter of a module that has no default is given, and none that it does not have."""
    for name, module in file.modules.items():
        path = (file.path.parent / module.path).resolve()
        if not path.is_file():
            yield f"module {name}: there is no file {module.path}"
            continue
        body = next(one for one in walk(module.body) if isinstance(one, Object))
        given = {key for key, value in body.pairs if key == "params" for key, _ in value.pairs}
        wanted = read(path, files.get(path)).parameters
        yield from (f"module {name}: it has no parameter {one}" for one in sorted(given - set(wanted)))
        for one in sorted(set(wanted) - given):
            if wanted[one].default is None:
                yield f"module {name}: parameter {one} is not given"


def _secrets(file: File) -> Iterator[str]:
    secure = {name for name, one in file.parameters.items() if one.is_secure}
    for expression in file.expressions():
        for node in walk(expression):
            if isinstance(node, Call) and _LISTS_SECRETS.match(node.function):
                yield f"{node.function} reads a secret"
            if isinstance(node, Access) and any(
                isinstance(one, str) and _LISTS_SECRETS.match(one) for one in node.steps
            ):
                yield f"{node.steps} reads a secret"
            if isinstance(node, Access) and any(isinstance(one, str) and _is_secret(one) for one in node.steps):
                yield f"{node.steps} reads a secret"
            if isinstance(node, Literal) and isinstance(node.value, str) and _SECRET_TEXT.search(node.value):
                yield f"it holds what looks like a secret: {node.value[:20]}…"
    for name, one in file.parameters.items():
        if one.is_secure and one.default is not None:
            yield f"parameter {name} is a secret and has a default"
        if re.search(r"password|secret$|key$|token", name, re.IGNORECASE) and not one.is_secure:
            yield f"parameter {name} must be @secure()"
    for name, one in file.outputs.items():
        names = set(free_names(one.value))
        if names & secure or any(kind == "secure" for kind, _ in one.decorators):
            yield f"output {name} tells a secret"
        if any(isinstance(node, Access) and isinstance(node.base, Name) for node in walk(one.value)):
            yield f"output {name} is read from a resource: only names are put out"


def _is_secret(step: str) -> bool:
    if step == _ADDRESS_NOT_KEY:
        return False
    return bool(
        re.search(r"(primary|secondary|shared|access|instrumentation)key|connectionstring|password", step, re.I)
    )
