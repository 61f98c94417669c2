"""Azurite: blobs, queues and tables on loopback."""

from __future__ import annotations

import shlex
from pathlib import Path

from localdev.servers.node import find_node, package_file
from localdev.servers.process import Server, ServerError, free_ports

ACCOUNT = "devstoreaccount1"
# The emulator's published key: the same in every installation, no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_QUIETLY = ("--silent", "--skipApiVersionCheck", "--disableTelemetry")


class Azurite(Server):
    """The storage emulator, with its data in a folder.

    Stop and start again (or ``kill`` and ``start``) keep ports and data. On SIGKILL Azurite loses up to 5 s of
    writes; on SIGTERM none.

    Parameters
    ----------
    folder : Path
        Data and log; made if absent.
    ports : (blob, queue, table), optional
        Loopback ports; free ones by default.
    in_memory : bool
        Data in memory only, for many rows: on disk it writes all its tables anew every 5 s, as one text, which may not
        be longer than 512 MB. Not for long: every ten minutes it looks for data that no blob has any more, and drops it
        piece by piece, for which it sorts all the others anew. After 3,700 tasks it did nothing else for minutes.
    blob_database : str, optional
        Where it keeps what it knows of blobs (see `MariaDb.url`). Then each service is a process of its own, tables are
        in memory, and blobs and messages on disk.
    """

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, int, int] | None = None,
        *,
        in_memory: bool = False,
        blob_database: str | None = None,
    ) -> None:
        self.folder = folder
        self._in_memory, self._blob_database = in_memory, blob_database
        self._chosen = ports is not None
        self._place(ports or self._free())

    @staticmethod
    def _free() -> tuple[int, int, int]:
        blob, queue, table = free_ports(3)
        return blob, queue, table

    def _place(self, ports: tuple[int, int, int]) -> None:
        self.blob_port, self.queue_port, self.table_port = ports
        self._ports = dict(zip(("blob", "queue", "table"), ports, strict=True))
        super().__init__(
            "Azurite",
            self._together() if self._blob_database is None else ["sh", "-c", self._apart()],
            log=self.folder / "azurite.log",
            ready="successfully (?:listen|start)",
            ready_count=3,
            env={} if self._blob_database is None else {"AZURITE_DB": self._blob_database},
        )

    def _together(self) -> list[str]:
        place = ("--inMemoryPersistence",) if self._in_memory else ("--location", str(self.folder / "data"))
        listening = (part for service in self._ports for part in self._listening(service))
        return [find_node(), package_file("azurite", "dist", "src", "azurite.js"), *place, *listening, *_QUIETLY]

    def _apart(self) -> str:
        """Each service a process; only tables are in memory."""
        started = []
        for service in self._ports:
            place = ("--inMemoryPersistence",) if service == "table" else ("--location", str(self.folder / "data"))
            main = package_file("azurite", "dist", "src", service, "main.js")
            started.append(shlex.join([find_node(), main, *place, *self._listening(service), *_QUIETLY]))
        return " & ".join([*started, "wait"])

    def _listening(self, service: str) -> list[str]:
        return [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(self._ports[service])]

    def start(self) -> Azurite:
        """Start and wait until all three services listen; another's hold on a free port is evaded on first start."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            try:
                super().start()
            except ServerError:
                if self._chosen or "EADDRINUSE" not in self.log.read_text(errors="replace"):
                    raise
                self._place(self._free())
            else:
                self._chosen = True
                return self
        raise ServerError("Azurite", self.log, "found no free ports in three tries")

    @property
    def connection_string(self) -> str:
        """What ``AzureWebJobsStorage`` and the SDK's ``from_connection_string`` take."""
        return connection_string(self.blob_port, self.queue_port, self.table_port)


def connection_string(blob_port: int, queue_port: int, table_port: int) -> str:
    """The emulator's account behind ports of loopback."""
    services = (("Blob", blob_port), ("Queue", queue_port), ("Table", table_port))
    endpoints = "".join(f"{name}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};" for name, port in services)
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{endpoints}"
