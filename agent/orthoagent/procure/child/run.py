"""One product by EODAG, in a process and if need be a Python of its own.

EODAG takes seconds to import and does not go with every version of what else is installed. What it says may quote
addresses with tokens and bodies of answers: none of that is passed on, only what kind of trouble it was. The order
comes on standard input, events go to standard output, each a line of JSON.

EODAG finds products, logs in and knows how files are laid out. Their bytes are read here: EODAG itself has no parts,
no limit of speed, and begins a file that broke anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __package__ != "orthoagent.procure.child":  # run as a file, by a Python that knows nothing of ours
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).resolve().parent)]
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from orthoagent.procure.child.line import Line
from orthoagent.procure.child.parts import fetch_file
from orthoagent.procure.child.sources import OneFile, fetch_assets, is_one_file, objects_by
from orthoagent.procure.child.words import FetchError, words_of

if __package__ != "orthoagent.procure.child":
    del sys.path[0]  # what else is there is none of EODAG's


def main() -> int:
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints is no event

    def tell(event: str, **more: Any) -> None:
        events.write(json.dumps({"event": event, **more}) + "\n")
        events.flush()

    order = json.loads(sys.stdin.read())
    try:
        fetch(order, tell)
    except FetchError as error:
        tell("failed", kind=error.kind, message=str(error))
    except Exception as error:  # its text may hold a secret
        tell("failed", kind="FetchFailed", message=f"EODAG ended with {type(error).__name__}")
    return 0


def fetch(order: dict[str, Any], tell: Any) -> None:
    """The product, from the first provider that gives it."""
    try:
        from eodag import EODataAccessGateway  # noqa: PLC0415 (after the events have their way out)
    except ImportError as error:
        raise FetchError(f"EODAG is not installed there ({error.name} is missing)") from None
    gateway = EODataAccessGateway()
    providers = _providers(gateway, order)
    trouble = []
    for provider in providers:
        try:
            product = _listed(gateway, provider, order)
            if product is None:
                continue
            tell("found", provider=provider)
            _download(gateway, product, order, tell)
        except Exception as error:
            trouble.append(f"{provider} {words_of(error)}")
        else:
            tell("done", provider=provider)
            return
        tell("provider_failed", provider=provider, why=trouble[-1])
        shutil.rmtree(order["folder"])
        Path(order["folder"]).mkdir()
    if trouble:
        raise FetchError("; ".join(trouble))
    raise FetchError(f"no provider lists it ({', '.join(providers)})", kind="ProductMissing")


def _providers(gateway: Any, order: dict[str, Any]) -> list[str]:
    """Those to ask, the best first."""
    collection, without = order["collection"], order["without"]
    known = [key for key, one in gateway.providers.items() if collection in one.collections_config]
    chosen = [one for one in (order["providers"] or known) if one in known and one not in without]
    if not chosen:
        among = f" among {', '.join(order['providers'])}" if order["providers"] else ""
        also = f", but for {', '.join(without)}" if without else ""
        raise FetchError(f"EODAG knows no provider of {collection}{among}{also}", kind="ProductMissing")
    return chosen


def _listed(gateway: Any, provider: str, order: dict[str, Any]) -> Any:
    """What a provider lists under the product's name; None where it lists nothing."""
    name = order["name"]
    found = gateway.search(id=name, collection=order["collection"], provider=provider, raise_errors=True)
    of_name = [one for one in found if name in (one.properties.get("id"), one.properties.get("title"))]
    return of_name[0] if of_name else None


def _download(gateway: Any, product: Any, order: dict[str, Any], tell: Any) -> None:
    from eodag.plugins.download.http import HTTPDownload  # noqa: PLC0415

    folder, streams, limit_s = Path(order["folder"]), order["streams"], order["order_limit_s"]
    line = Line(
        streams=streams,
        part_bytes=order["part_bytes"],
        mb_per_s=order["mb_per_s"],
        silence_s=order["silence_s"],
        tell=tell,
    )
    if not isinstance(product.downloader, HTTPDownload):
        with objects_by(line, folder), ThreadPoolExecutor(streams) as files:
            gateway.download(product, output_dir=str(folder), extract=False, executor=files, timeout=limit_s / 60)
    elif is_one_file(product):
        fetch_file(OneFile(product, line, limit_s), folder / f"{order['name']}.zip", line)
    else:
        with ThreadPoolExecutor(streams) as files:
            fetch_assets(product, folder / order["name"], line, files)


if __name__ == "__main__":
    sys.exit(main())
