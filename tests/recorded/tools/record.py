"""Record a release, for the tests of the one after it: ``python tests/recorded/tools/record.py NAME [--tree FOLDER]``.

Runs tests of the use cases and a real stack out of the source tree, and writes ``tests/recorded/NAME``. tests/recorded/
README.md says when.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

TOOLS: Final = Path(__file__).resolve().parent
TOP: Final = TOOLS.parents[2]
SOURCE_ROOTS: Final = ("contracts", "kernel", "agent", "functions", "client", "local-dev", "tests")
USE_CASES: Final = [
    "announced",
    "api",
    "api_batches",
    "archive_api",
    "callbacks",
    "campaigns",
    "campaigns_api",
    "catalogue_checksums",
    "expire_raw",
    "functions_collect",
    "functions_dispatch",
    "functions_expire",
    "functions_loads",
    "functions_money",
    "functions_stores",
    "functions_sweep",
    "inventory",
    "loads",
    "orders_api",
    "pins",
    "plan_auxiliaries",
    "plan_elsewhere",
    "plan_missions",
    "plan_requests",
    "procure",
    "rebuild",
    "redo",
    "seams",
    "settle",
    "standing",
    "twins",
    "upload_events",
    "wanted",
    "access",
    "archive_watch",
    "scale",
    "agent_presence",
]
ELSEWHERE: Final = ("tests/integration/test_catalogues.py",)
_FAKES: Final = (
    (re.compile(r"(?<=sig=)[^&\"\\]+"), "c2lnbmF0dXJl"),
    (re.compile(r"(?<=http://)(127\.0\.0\.1|localhost):\d+"), r"127.0.0.1:10000"),
    (re.compile(r"(?<=file://)/[^\"]*"), "/somewhere"),
)
MOST: Final = 6
MOST_BYTES: Final = 32_000
"""Examples of a kind."""
_SECRETS: Final = {"token": 64, "secret": 43, "previous": 43}
"""Fields, and how long a fake is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the release: its version and commit")
    parser.add_argument("--commit", required=True, help="of the release, in full")
    parser.add_argument("--tree", type=Path, default=TOP, help="its source tree; this one by default")
    asked = parser.parse_args()
    tree = asked.tree.resolve()
    with tempfile.TemporaryDirectory(prefix="record-") as scratch:
        documents = _harvest(tree, Path(scratch))
    out = TOOLS.parent / asked.name
    out.mkdir(exist_ok=True)
    schemas = json.loads(_python(tree, "-c", _SCHEMAS, HARVEST=os.devnull).stdout)
    (out / "release.json").write_text(json.dumps({"commit": asked.commit}) + "\n")
    known = {*schemas["models"], *schemas["rows"], "Page"}
    for name, document in (("documents", {kind: documents[kind] for kind in sorted(known) if kind in documents}),
                           ("schemas", schemas)):  # fmt: skip
        (out / f"{name}.json").write_text(_json(document))
    missing = sorted(known - {*documents} - {"AgentRecord"} - {*schemas["parts"]})
    print(f"{out}: {len(documents)} kinds; without an example: {', '.join(missing) or 'none'}")


_SCHEMAS: Final = """
import json, kinds
from orthocontracts.version import KERNEL_RESULT_VERSION
models = kinds.schema_of_models()["$defs"]
named = {one.__name__ for one in kinds.MODELS}
print(json.dumps({"result_version": KERNEL_RESULT_VERSION, "models": models, "rows": kinds.schema_of_rows(),
                  "names": kinds.names_in_use(),
                  "parts": sorted({*models} - named)}))
"""


def _harvest(tree: Path, scratch: Path) -> dict[str, list[Any]]:
    """Examples of every kind, from the real stack first."""
    folders = [scratch / "run", scratch / "tests"]
    for folder in folders:
        folder.mkdir()
    (scratch / "stack").mkdir()
    run = _python(tree, str(TOOLS / "run.py"), str(scratch / "stack"), HARVEST=str(folders[0]), SITE="1")
    sys.stderr.write(run.stderr[-2000:])
    tests = [str(path) for name in USE_CASES if (path := tree / "tests" / "unit" / f"test_{name}.py").exists()]
    tests += [str(tree / path) for path in ELSEWHERE]
    _python(tree, "-m", "pytest", "-q", "-p", "harvest", "-p", "no:cacheprovider", *tests, HARVEST=str(folders[1]))
    found: dict[str, list[Any]] = defaultdict(list)
    size: Counter[str] = Counter()
    seen = set()
    for folder in folders:
        for line in _lines(folder):
            said = json.loads(_faked(line))
            shape = (said["kind"], json.dumps(_shape(said["document"])))
            size[said["kind"]] += len(line)
            is_first = not found[said["kind"]]
            if shape not in seen and (is_first or size[said["kind"]] < MOST_BYTES) and len(found[said["kind"]]) < MOST:
                seen.add(shape)
                found[said["kind"]].append(_without_secrets(said["document"]))
    return found


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.jsonl")):
        yield from path.read_text().splitlines()


def _python(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    roots = [str(tree / name) for name in SOURCE_ROOTS]
    beside = [str(TOOLS), str(TOP / "tests" / "integration"), *([str(TOOLS / "site")] if "SITE" in environment else [])]
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*roots, *beside]), **environment},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)[:200]}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def _shape(node: Any) -> Any:
    if isinstance(node, dict):
        return {key if len(key) < 40 else "*": _shape(value) for key, value in sorted(node.items())}
    return [_shape(one) for one in node[:1]] if isinstance(node, list) else None


def _faked(text: str) -> str:
    for pattern, fake in _FAKES:
        text = pattern.sub(fake, text)
    return text


def _without_secrets(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: ("5ea1" * 16)[: _SECRETS[key]] if key in _SECRETS and isinstance(value, str) and value else
            ("a machine" if key == "machine" else _without_secrets(value))
            for key, value in node.items()
        }  # fmt: skip
    return [_without_secrets(one) for one in node] if isinstance(node, list) else node


def _json(document: dict[str, Any]) -> str:
    """A line an example, so that a change shows."""
    parts = []
    for key, value in document.items():
        items = value if isinstance(value, list) else None
        if items is not None:
            inner = ",\n".join("  " + json.dumps(one, sort_keys=True) for one in items)
            parts.append(f" {json.dumps(key)}: [\n{inner}\n ]")
        elif isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in sorted(value.items()))
            parts.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
