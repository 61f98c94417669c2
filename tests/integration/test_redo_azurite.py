"""Images that wait for their precise orbit, in real tables: noted, found when the file is there, asked for once."""

from __future__ import annotations

from pathlib import Path

from fakes.products import ROME, put_safe
from integration.storage import azure_ports
from localdev.servers import Azurite
from orthocontracts import names
from orthocontracts.orders import StandingOrder
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.records import JobRecord
from orthofunctions.domain.rules import Rules
from orthofunctions.ports import Ports
from orthofunctions.provision import provision
from orthofunctions.usecases.orders import add_order
from orthofunctions.usecases.plan import plan_request
from orthofunctions.usecases.redo import redo_with_precise_orbits
from orthofunctions.usecases.rows import find
from orthofunctions.usecases.submit import read_request
from orthofunctions.usecases.upload import take_upload

PRECISE = "S1B_OPER_AUX_POEORB_OPOD_20220112T112345_V20211222T225942_20211224T005942.EOF"
RESTITUTED = "S1B_OPER_AUX_RESORB_OPOD_20211223T083725_V20211223T040000_20211223T073000.EOF"


def plan_all(ports: Ports) -> None:
    for body in ports.queues.drain(names.QUEUE_REQUESTS, 100):
        plan_request(ports, read_request(ports, body), Limits(), Rules())


def test_once_when_the_file_is_there(tmp_path: Path) -> None:
    with Azurite(tmp_path / "azurite") as server:
        provision(server.connection_string)
        with azure_ports(server.connection_string) as ports:
            said = {"order_id": "rome", "user": "ana", "created_at": ports.clock.now(), "terrain": {"height_m": 0},
                    "grid": {"kind": "mgrs", "tiles": ["33TUG"]}, "orbits": "aux/orbits",
                    "redo_with_precise_orbit": True}  # fmt: skip
            add_order(ports, StandingOrder.model_validate(said))
            ports.blobs.write("aux", f"orbits/{RESTITUTED}", b"<restituted/>")
            put_safe(ports.blobs)
            (job,) = take_upload(ports, f"{ROME}.SAFE/manifest.safe")
            plan_all(ports)
            assert redo_with_precise_orbits(ports) == 0
            assert len(list(ports.tables.query(names.TABLE_REDOS))) == 2
            ports.blobs.write("aux", f"orbits/2022/01/{PRECISE}", b"<precise/>")
            assert [redo_with_precise_orbits(ports) for _ in range(2)] == [1, 0]
            plan_all(ports)
            replacing = {one.replaces for one in find(ports.tables, JobRecord)}
            assert replacing == {"", job.job_id}
            assert list(ports.tables.query(names.TABLE_REDOS)) == []
