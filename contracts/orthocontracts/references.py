"""Where products and auxiliary files lie: in the pipeline's own storage, on somebody's server, in a site's store.

A reference is a place and a name in it. ``products/NAME`` and ``aux/NAME`` are blobs; ``https://HOST/NAME`` and
``s3://BUCKET/NAME`` lie on servers that a site allows, ``site://STORE/NAME`` in a folder that a site's workers see.
``id:NAME`` says no place: see `productids`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal

Scheme = Literal["https", "http", "s3", "site"]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,240}"
_FAR_NAME: Final = r"[A-Za-z0-9_~][A-Za-z0-9._~+=,@()/-]{0,500}"
_HOST: Final = r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?"
_FAR: Final = (
    rf"(https?://{_HOST}/{_FAR_NAME}|s3://[a-z0-9][a-z0-9.-]{{1,62}}/{_FAR_NAME}"
    r"|site://[a-z0-9][a-z0-9-]{0,62}/[A-Za-z0-9_][A-Za-z0-9._+/-]{0,500})"
)
_ID: Final = r"id:[A-Z0-9][A-Za-z0-9_.]{0,200}"
PRODUCT_PATTERN: Final = rf"^(products/{_NAME}|catalogue/[0-9a-f]{{64}}|{_FAR}|{_ID})$"
AUX_PATTERN: Final = rf"^aux/{_NAME}$"
DEM_PATTERN: Final = rf"^(aux/{_NAME}|{_FAR})$"

_SCHEME = re.compile(r"(https?|s3|site)://")


def scheme_of(ref: str) -> Scheme | None:
    """None for what lies in the pipeline's own storage."""
    found = _SCHEME.match(ref)
    return found[1] if found else None  # type: ignore[return-value]


def split_reference(ref: str) -> tuple[str, str]:
    """The place (a container, ``https://HOST``, ``s3://BUCKET``, ``site://STORE``) and the name in it."""
    scheme = scheme_of(ref)
    start = f"{scheme}://" if scheme else ""
    place, _, name = ref.removeprefix(start).partition("/")
    return f"{start}{place}", name


def plain_reference(ref: str) -> str:
    """The reference without a slash at its end.

    What is restricted is known by how its reference begins: so there is one way to write it.

    Raises
    ------
    ValueError
        Where a part of its name is empty, ``.`` or ``..``, or its host has the port that it has anyway.
    """
    place, name = split_reference(ref)
    if re.fullmatch(r"https://.*:0*443|http://.*:0*80|.*:0\d*", place):
        raise ValueError(f"{ref!r}: leave out the port, which is the usual one")
    if any(part in ("", ".", "..") for part in name.rstrip("/").split("/")):
        raise ValueError(f"{ref!r} is not a plain path")
    return ref.rstrip("/")


def path_on_worker(ref: str) -> str:
    """Where a worker puts it below a task's folder: blobs under their own names, others apart by their place."""
    if scheme_of(ref) is None:
        return ref
    folder, _, last = ref.rpartition("/")
    return f"elsewhere/{hashlib.sha256(folder.encode()).hexdigest()[:16]}/{last}"
