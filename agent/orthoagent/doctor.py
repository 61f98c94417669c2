"""``orthoagent doctor``: is all there that a worker on this node needs, and what to do where it is not.

Nothing it does is seen by others but one status that says that this agent is offline: a running agent of this name
corrects it at once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import aiomqtt
from azure.core.exceptions import AzureError, HttpResponseError

from orthoagent.adapters.clients import open_storage
from orthoagent.adapters.collector import ask_collector
from orthoagent.adapters.mqtt import client_for, subscribe
from orthoagent.adapters.process import ChildDoesNotStartError, ComputeChild
from orthoagent.adapters.sites import Sites
from orthoagent.enroll import ends_soon
from orthoagent.errors import AgentError, FaultError
from orthoagent.finding import Finding, Mark
from orthoagent.settings import Settings, available_cores
from orthoagent.telemetry import TelemetrySettings
from orthocontracts import names
from orthocontracts.messages import AgentStatus
from orthocontracts.version import KERNEL_RESULT_VERSION

NOBODY = "doctor-0000"
"""A task that does not exist."""
CLOCK_WARN_S, CLOCK_FAIL_S = 30.0, 300.0
"""Links begin and end by the service's clock."""
SCRATCH_WARN_BYTES = 20e9
"""A Sentinel-1 product inflated, a DEM and a tile's images, with some room."""
CERTIFICATE_WARN_S = 7 * 86_400.0
DISK_PROBE_BYTES = 64 << 20
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "fuse.sshfs", "ceph", "afs"})

Check = Callable[[Settings], Awaitable[Finding | None]]
"""None: there is nothing to check."""


async def examine(
    settings: Settings, dem: str | None, make_child: Callable[[], ComputeChild]
) -> AsyncIterator[Finding]:
    """Every check, one after the other; none raises."""
    checks: Sequence[tuple[str, Check]] = [
        ("machine", _machine),
        ("scratch", _scratch),
        ("cache", _cache),
        ("stores", _stores),
        ("clock", _clock),
        ("queue", _queue),
        ("tickets", _tickets),
        ("results", _results),
        ("broker", _broker),
        ("collector", lambda _: ask_collector(TelemetrySettings())),
        ("dem", lambda settings: _dem(settings, dem)),
        ("kernel", lambda _: _kernel(make_child)),
    ]
    for name, check in checks:
        try:
            if (finding := await check(settings)) is not None:
                yield finding
        except AgentError as error:
            yield Finding(name, "fail", str(error), "see docs/security.md")
        except Exception as error:
            yield Finding(name, "fail", f"{type(error).__name__}: {error}", "this check itself broke: tell us")


async def _machine(settings: Settings) -> Finding:
    cores, slots = settings.cores or available_cores(), settings.slots
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"slots: {slots}, threads each: {settings.threads_per_slot}, cores: {cores}, memory: {memory / 1e9:.0f} GB"
    if slots > cores:
        return Finding("machine", "warn", found, f"ORTHOAGENT_SLOTS={cores} or less: slots share cores now")
    if settings.slot_memory_gb and settings.slot_memory_gb * slots * 1e9 > memory:
        return Finding("machine", "warn", found, "slots times ORTHOAGENT_SLOT_MEMORY_GB are more than that")
    return Finding("machine", "ok", found)


async def _scratch(settings: Settings) -> Finding:
    folder = settings.scratch
    try:
        speed = await asyncio.to_thread(_probe_disk, folder)
    except OSError as error:
        return Finding("scratch", "fail", f"{folder}: {error.strerror}", "name a folder this user may write to")
    free = shutil.disk_usage(folder).free
    found = f"{folder}: {free / 1e9:.0f} GB free, {speed / 1e6:.0f} MB/s written, {_file_system(folder)}"
    wanted = settings.slots * (settings.slot_scratch_gb or SCRATCH_WARN_BYTES / 1e9) * 1e9
    if free < wanted:
        return Finding("scratch", "warn", found, f"{settings.slots} slots may want {wanted / 1e9:.0f} GB")
    if _file_system(folder) in _NETWORK_FILE_SYSTEMS:
        return Finding("scratch", "warn", found, "a disk of this node is faster, and spares the others")
    return Finding("scratch", "ok", found)


def _probe_disk(folder: Path) -> float:
    """Bytes a second; also proves that files can be linked, as kept inputs are. Blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as scratch:
        path = Path(scratch, "probe")
        began_s = time.monotonic()
        with path.open("wb") as file:
            file.write(os.urandom(1 << 20) * (DISK_PROBE_BYTES >> 20))
            os.fsync(file.fileno())
        took_s = time.monotonic() - began_s
        os.link(path, path.with_name("linked"))
    return DISK_PROBE_BYTES / took_s


async def _cache(settings: Settings) -> Finding:
    folder = settings.numba_cache
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("cache", "fail", f"{folder}: {error.strerror}", "ORTHOAGENT_CACHE must be writable")
    found = f"{folder}: compiled kernels, {_file_system(folder)}"
    if _file_system(folder) in _NETWORK_FILE_SYSTEMS:
        return Finding("cache", "warn", found, "name a folder of this node: numba's cache breaks when nodes share it")
    return Finding("cache", "ok", found)


def _file_system(folder: Path) -> str:
    """Its type, as the kernel names it."""
    best = ("", "unknown")
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    for mount in mounts:
        _, where, kind, *_ = mount.split()
        if folder.is_relative_to(where) and len(where) > len(best[0]):
            best = (where, kind)
    return best[1]


async def _stores(settings: Settings) -> Finding:
    if not settings.stores:
        return Finding("stores", "ok", "none: all inputs come over the network")
    bad = [name for name, folder in settings.stores.items() if not os.access(folder, os.R_OK | os.X_OK)]
    if bad:
        where = ", ".join(f"{name} ({settings.stores[name]})" for name in bad)
        return Finding("stores", "fail", f"cannot be read: {where}", "mount them, or correct ORTHOAGENT_STORES")
    return Finding("stores", "ok", ", ".join(f"{name} at {folder}" for name, folder in settings.stores.items()))


async def _clock(settings: Settings) -> Finding:
    async with open_storage(settings) as storage:
        address = storage.container(names.ticket_container(settings.pool)).url
    try:
        async with aiohttp.ClientSession(trust_env=True) as http, http.get(address) as answer:
            theirs = parsedate_to_datetime(answer.headers["Date"])
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        host = address.split("?")[0]
        advice = "open the way to it, or set HTTPS_PROXY"
        return Finding("clock", "fail", f"{host} is not reached: {type(error).__name__}", advice)
    skew_s = (datetime.now(UTC) - theirs).total_seconds()
    found = f"{abs(skew_s):.0f} s {'before' if skew_s > 0 else 'behind'} the storage service's"
    if abs(skew_s) > CLOCK_WARN_S:
        mark: Mark = "fail" if abs(skew_s) > CLOCK_FAIL_S else "warn"
        return Finding("clock", mark, found, "let this node take its time from a time server (chrony, ntpd)")
    return Finding("clock", "ok", found)


async def _queue(settings: Settings) -> Finding:
    """Ask to delete a message that is not there: who may not is told so first."""
    name = names.pool_queue(settings.pool, KERNEL_RESULT_VERSION)
    async with open_storage(settings) as storage:
        queue = storage.queue(name)
        return await _ask(
            "queue",
            f"{name}: this worker may take messages",
            lambda: queue.delete_message("00000000-0000-0000-0000-000000000000", "AgAAAAMAAAAAAAAA"),
            missing="it is made with the first release to the pool: is ORTHOAGENT_POOL one of pools.yaml?",
        )


async def _tickets(settings: Settings) -> Finding:
    name = names.ticket_container(settings.pool)
    async with open_storage(settings) as storage:
        blob = storage.container(name).get_blob_client(names.ticket_blob(NOBODY, 1))
        return await _ask(
            "tickets",
            f"{name}: this worker may read tickets",
            blob.download_blob,
            missing="it is made with the first release to the pool: is ORTHOAGENT_POOL one of pools.yaml?",
        )


async def _results(settings: Settings) -> Finding:
    """Ask to add a message that would be gone before it can be seen: who may not add is told so first."""
    async with open_storage(settings) as storage:
        queue = storage.queue(names.QUEUE_RESULTS)
        return await _ask(
            "results",
            f"{names.QUEUE_RESULTS}: this worker may report",
            lambda: queue.send_message("doctor", visibility_timeout=60, time_to_live=1),
            missing="the functions have not been provisioned",
        )


async def _ask(check: str, ok: str, call: Callable[[], Awaitable[object]], *, missing: str) -> Finding:
    """What storage says to a call: that there is no such thing is an answer to one who may ask."""
    try:
        await asyncio.wait_for(call(), 20)
    except HttpResponseError as error:
        code = str(getattr(error, "error_code", "") or "")
        code = getattr(code, "value", code)
        if error.status_code in {401, 403}:
            return Finding(
                check, "fail", f"refused ({error.status_code} {code})", "see docs/security.md for its rights"
            )
        if code in {"QueueNotFound", "ContainerNotFound"}:
            return Finding(check, "warn", f"there is none yet ({code})", missing)
        if error.status_code is not None and error.status_code >= 500:
            return Finding(check, "fail", f"storage is in trouble ({error.status_code} {code})", "try again later")
    except (AzureError, TimeoutError, OSError) as error:
        advice = "open the way to the storage hosts on port 443, or set HTTPS_PROXY"
        return Finding(check, "fail", f"storage does not answer: {type(error).__name__}", advice)
    return Finding(check, "ok", ok)


async def _broker(settings: Settings) -> Finding:
    """Does what this agent publishes come back to it? A broker drops in silence what a login may not."""
    if settings.broker is None:
        advice = "ORTHOAGENT_BROKER: without it the worker polls every few seconds, and nobody sees or steers it"
        return Finding("broker", "warn", "none is set", advice)
    topic = names.topic_status(settings.agent)
    began_s = time.monotonic()
    try:
        client = client_for(
            settings.broker_address(),
            identifier=f"orthodoctor-{os.urandom(4).hex()}",
            timeout_s=settings.echo_timeout_s,
        )
        async with client:
            await subscribe(client, topic, names.topic_control(settings.agent), names.topic_doorbell(settings.agent))
            status = AgentStatus(
                agent=settings.agent, pool=settings.pool, session=f"doctor-{os.urandom(4).hex()}",
                sequence=0, state="offline", at=datetime.now(UTC), result_version=KERNEL_RESULT_VERSION,
            )  # fmt: skip
            await client.publish(topic, status.to_json().encode(), qos=1)
            async with asyncio.timeout(settings.echo_timeout_s):
                async for message in client.messages:
                    payload = message.payload
                    if isinstance(payload, bytes) and status.session.encode() in payload:
                        break
    except TimeoutError:
        found = f"what agent {settings.agent} publishes on {topic} does not come back"
        return Finding("broker", "fail", found, "its login must be the agent's id, see infra/mosquitto")
    except (aiomqtt.MqttError, AgentError) as error:
        return Finding("broker", "fail", str(error), "is its host reachable, and the login right?")
    found = f"an echo on {topic} after {1000 * (time.monotonic() - began_s):.0f} ms"
    if settings.broker_cert_file is not None and ends_soon(settings.broker_cert_file, CERTIFICATE_WARN_S):
        found += f"; {settings.broker_cert_file} ends within {CERTIFICATE_WARN_S / 86_400:g} days"
        return Finding("broker", "warn", found, f"orthoagent enroll {settings.agent} renews it")
    return Finding("broker", "ok", found)


async def _dem(settings: Settings, dem: str | None) -> Finding:
    if dem is None:
        return Finding("dem", "ok", "comes with the tickets; give --dem FILE or site://STORE/PATH to have one opened")
    try:
        path = Sites(settings.stores).path_of(dem) or Path(dem)
        found = await asyncio.to_thread(_open_dem, path)
    except (FaultError, OSError) as error:
        return Finding("dem", "fail", f"{dem}: {error}", "see ORTHOAGENT_STORES, and whether this user may read it")
    return Finding("dem", "ok", f"{dem}: {found}")


def _open_dem(path: Path) -> str:
    import rasterio  # noqa: PLC0415 — takes half a second, for a check that is rarely asked for

    with rasterio.open(path) as opened:
        opened.read(1, window=((0, 1), (0, 1)))
        return f"{opened.width} x {opened.height} samples, {opened.crs}"


async def _kernel(make_child: Callable[[], ComputeChild]) -> Finding:
    child = make_child()
    began_s = time.monotonic()
    try:
        await child.start()
    except ChildDoesNotStartError as error:
        return Finding("kernel", "fail", str(error), 'pip install "orthoburst[agent]", and see its last words')
    finally:
        await child.kill()
    return Finding("kernel", "ok", f"compiled, or found compiled, and loaded in {time.monotonic() - began_s:.1f} s")
