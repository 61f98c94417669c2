"""An image with RPC: its header by range, its sidecar, and a hash that names both."""

from __future__ import annotations

import hashlib

from orthocontracts.outputs import Source
from orthocontracts.products import rpc_sidecars
from orthofunctions.domain.facts import ProductFacts
from orthofunctions.domain.faults import BrokenProductError
from orthofunctions.domain.rpc_header import (
    Rpc,
    RpcHeaderError,
    footprint_lonlat,
    read_tiff_header,
    rpc_of_dimap,
    rpc_of_text,
)
from orthofunctions.ports import BlobFacts
from orthofunctions.usecases.contents import content_of
from orthofunctions.usecases.inspect_safe import lying_at
from orthofunctions.usecases.places import Place
from orthofunctions.usecases.ranged import RangedBlob
from orthofunctions.usecases.safexml import parse_xml
from orthofunctions.usecases.sidecars import named_sidecar, only_dimap

MAX_SIDECAR_BYTES = 1024 * 1024


def inspect_rpc_image(place: Place, blob: BlobFacts) -> ProductFacts:
    """Facts of a ``….tif``. Its RPC are in its tags or in a sidecar beside it, which takes precedence."""
    ref = place.ref
    with RangedBlob(place.reader, blob) as file:
        try:
            header = read_tiff_header(file.read_at)
        except RpcHeaderError as error:
            raise BrokenProductError(f"{ref}: {error}; upload it again") from error
    sidecar = _sidecar(place, blob, needed=header.rpc is None)
    try:
        rpc = _read_sidecar(place, sidecar) if sidecar else header.rpc
        if rpc is None:
            raise BrokenProductError(
                f"{ref} has no RPC in its tags and no {rpc_sidecars(blob.name)[0]} beside it: upload that first"
            )
        footprint = footprint_lonlat(header, rpc)
        # seen aslant, a hill stands elsewhere than the plain: the image lies between its lowest and its highest place
        reach = footprint_lonlat(header, rpc, -1.0) + footprint_lonlat(header, rpc, 1.0)
    except RpcHeaderError as error:
        raise BrokenProductError(f"{sidecar.name if sidecar else ref}: {error}") from error
    content = content_of(blob)
    if sidecar:
        content = hashlib.sha256(f"{content}|{content_of(sidecar)}".encode()).hexdigest()
    stem = ref.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    facts = ProductFacts(
        source=Source(ref=ref, content=content, size_bytes=blob.size_bytes),
        mission="rpc",
        name=stem,
        pass_key=ref,
        footprint_lonlat=footprint,
        reach_lonlat=reach,
    )
    return lying_at(place, facts, [blob, sidecar] if sidecar else [blob])


def _sidecar(place: Place, blob: BlobFacts, *, needed: bool) -> BlobFacts | None:
    if not place.lists:
        folder = blob.name.rpartition("/")[0]
        names = (f"{folder}/{name}" if folder else name for name in rpc_sidecars(blob.name))
        found = (place.reader.facts(blob.container, name) for name in names)
        return next((facts for facts in found if facts is not None), None)
    sidecar = named_sidecar(place.reader, blob.container, blob.name)
    if sidecar is None and needed:
        return only_dimap(place.reader, blob.container, blob.name)
    return sidecar


def _read_sidecar(place: Place, sidecar: BlobFacts) -> Rpc:
    data = place.reader.read(sidecar.container, sidecar.name, length=MAX_SIDECAR_BYTES, etag=sidecar.etag or None)
    if sidecar.name.lower().endswith(".xml"):
        return rpc_of_dimap(parse_xml(data, sidecar.name))
    return rpc_of_text(data.decode("utf-8", errors="replace"))
