"""MariaDB on loopback: Azurite can keep in it what it knows of blobs, where there are more than its own list bears."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path

from localdev.servers.process import Server, ServerError, free_ports

GET_MARIADB = "apt-get install mariadb-server-core mariadb-client-core"
_NAME = "azurite"
_AS_WE_ARE = f"--user={getpass.getuser()}"  # as root it runs only where it is told to
_SETUP = f"""CREATE DATABASE IF NOT EXISTS {_NAME} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER IF NOT EXISTS '{_NAME}'@'localhost' IDENTIFIED BY '{_NAME}';
GRANT ALL ON {_NAME}.* TO '{_NAME}'@'localhost';
"""


def has_mariadb() -> bool:
    """Whether it is installed."""
    return None not in (shutil.which("mariadbd"), shutil.which("mariadb-install-db"))


class MariaDb(Server):
    """A database server with its data in a folder.

    Its transactions are as if one after the other: of two clients who make one blob, each on condition that it is not
    there, the emulator over a laxer database lets both.

    Raises
    ------
    ServerError
        In `start`: it is not installed, or cannot make its tables.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_ports(1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        first = folder / "first.sql"
        first.write_text(_SETUP)
        super().__init__(
            "MariaDB",
            [
                shutil.which("mariadbd") or "mariadbd", "--no-defaults", _AS_WE_ARE, f"--datadir={folder / 'data'}",
                f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", "--bind-address=127.0.0.1",
                f"--port={self._port}", f"--init-file={first}", "--innodb-flush-log-at-trx-commit=0",
                "--transaction-isolation=SERIALIZABLE",
            ],
            log=folder / "mariadb.log",
            ready="ready for connections",
        )  # fmt: skip

    def start(self) -> MariaDb:
        """Make its tables, the first time, and start it."""
        if not has_mariadb():
            raise ServerError(self.name, self.log, f"is not installed: {GET_MARIADB}")
        if not (self._folder / "data").is_dir():
            made = subprocess.run(
                [
                    "mariadb-install-db", "--no-defaults", f"--datadir={self._folder / 'data'}", _AS_WE_ARE,
                    "--auth-root-authentication-method=normal", "--skip-test-db",
                ],
                capture_output=True, check=False, text=True,
            )  # fmt: skip
            if made.returncode:
                raise ServerError(self.name, self.log, f"made no tables: {(made.stdout + made.stderr)[-500:]}")
        super().start()
        return self

    @property
    def url(self) -> str:
        """What Azurite's ``AZURITE_DB`` takes."""
        return f"mysql://{_NAME}:{_NAME}@127.0.0.1:{self._port}/{_NAME}"
