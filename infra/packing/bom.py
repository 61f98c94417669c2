"""The bill of materials of a package: CycloneDX 1.5, from the lock's pins.

``python -m packing.bom NAME EXTRA...`` prints it. The same pins give the same bill, byte for byte: it has no time and
no random serial number.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Sequence
from typing import Any

from packing.lock import PROJECT, ROOT, LockError, Pin, part_for, read_lock

_BOUND = re.compile(r"python_full_version\s*(?P<how><|>=)\s*'(?P<major>\d+)\.(?P<minor>\d+)'")


def bill_of(name: str, pins: Sequence[Pin], *, python: tuple[int, int]) -> str:
    """A JSON document of the pins that this Python on Linux takes; ``name`` is what they are packed into.

    Hashes are those of every file that the lock allows for a pin (wheels of all platforms, the source), as properties:
    CycloneDX' own ``hashes`` are of one file, and which it was the installer chose.
    """
    taken = [pin for pin in pins if _is_for(pin, python)]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    project = {"bom-ref": f"pkg:pypi/{PROJECT}@{version}", "type": "library", "name": PROJECT, "version": version}
    refs = {pin.name: _purl(pin) for pin in taken}
    asking = {PROJECT: project["bom-ref"], **refs}
    asked: dict[str, list[str]] = {ref: [] for ref in sorted(asking.values())}
    for pin in taken:
        for asker in pin.asked_by & asking.keys():
            asked[asking[asker]].append(_purl(pin))
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"bom-ref": name, "type": "application", "name": name, "version": version}},
        "components": [{**project, "purl": project["bom-ref"]}, *(_component(pin) for pin in taken)],
        "dependencies": [
            {"ref": name, "dependsOn": [project["bom-ref"]]},
            *({"ref": ref, "dependsOn": sorted(needed)} for ref, needed in asked.items()),
        ],
    }
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, content).urn
    return json.dumps(document, indent=1) + "\n"


def _component(pin: Pin) -> dict[str, Any]:
    return {
        "bom-ref": _purl(pin),
        "type": "library",
        "name": pin.name,
        "version": pin.version,
        "purl": _purl(pin),
        "properties": [{"name": "lock:sha256", "value": digest} for digest in pin.hashes],
    }


def _purl(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def _is_for(pin: Pin, python: tuple[int, int]) -> bool:
    """Whether a pin with bounds on Python's version is taken; what else markers say holds on Linux or never."""
    if pin.marker is None:
        return True
    if "sys_platform == 'win32'" in pin.marker:
        return False
    for bound in _BOUND.finditer(pin.marker):
        limit = (int(bound["major"]), int(bound["minor"]))
        if not (python < limit if bound["how"] == "<" else python >= limit):
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="packing.bom", description="Print the bill of materials of a package.")
    parser.add_argument("name", help="of what is packed")
    parser.add_argument("extras", nargs="+", metavar="EXTRA")
    options = parser.parse_args(arguments)
    try:
        pins = part_for(options.extras, read_lock())
    except LockError as error:
        sys.stderr.write(f"bom: {error}\n")
        return 1
    sys.stdout.write(bill_of(options.name, pins, python=sys.version_info[:2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
