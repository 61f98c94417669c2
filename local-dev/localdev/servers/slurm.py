"""A Slurm cluster of one node on loopback: the real daemons of Debian's packages, without systemd. Root only."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from localdev.servers.process import Server, free_ports

_DAEMONS = ("munged", "slurmctld", "slurmd")
_COMMANDS = ("sbatch", "squeue", "scancel", "sinfo")
_SBIN = "/usr/local/sbin:/usr/sbin"
LEAVE_LIMIT_S = 5.0


def missing_for_slurm() -> str | None:
    """Why no cluster can be started here; None: it can."""
    absent = [name for name in (*_DAEMONS, *_COMMANDS) if _find(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: slurmctld slurmd slurm-client munge)"
    return None if os.geteuid() == 0 else "slurmd starts jobs only as root"


class Slurm:
    """Munge, controller and node, with keys, sockets, ports and state of their own.

    Parameters
    ----------
    folder : Path
        Configuration, state and logs; made if absent.
    cores : int
        Cores the node says it has, whatever the machine has.
    """

    def __init__(self, folder: Path, *, cores: int = 2) -> None:
        self.folder, self.cores = folder, cores
        self.config = folder / "slurm.conf"
        self.log = folder / "slurmctld.log"
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o755)
        self._servers = (self._munged(), self._controller(), self._node())

    @property
    def env(self) -> dict[str, str]:
        """What a program needs to find this cluster."""
        return {"SLURM_CONF": str(self.config)}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start all three and wait until the node takes jobs."""
        self._write_config()
        try:
            for server in self._servers:
                server.start()
            self._wait_for_node()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Cancel all jobs, then stop the daemons; no process of a job is left."""
        if self._servers[1].running:
            with contextlib.suppress(subprocess.SubprocessError):
                self.run("scancel", "--user=root", "--signal=KILL", "--full")
                self.run("scancel", "--user=root")
                self._wait_for_no_jobs()
        # A step lives in a session of its own and keeps its node daemon from leaving.
        for process in _of_cluster(self.config, "slurmstepd"):
            process.kill()
        for server in reversed(self._servers):
            server.stop()

    def run(self, *command: str) -> str:
        """What a Slurm command writes. Raises CalledProcessError."""
        done = subprocess.run(
            command, env={**os.environ, **self.env}, check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout

    @staticmethod
    def command(name: str) -> str | None:
        """Where one of Slurm's commands is."""
        return _find(name)

    def _wait_for_node(self) -> None:
        deadline = time.monotonic() + 20.0
        while "idle" not in self.run("sinfo", "--noheader", "--format=%T"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node takes no jobs; see {self.folder}")
            time.sleep(0.1)

    def _wait_for_no_jobs(self) -> None:
        deadline = time.monotonic() + LEAVE_LIMIT_S
        while self.run("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(0.1)

    def _munged(self) -> Server:
        own = self.folder / "munge"
        key = own / "key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
        files = {"key-file": key, "socket": own / "socket", "pid-file": own / "pid", "seed-file": own / "seed"}
        arguments = [f"--{name}={path}" for name, path in files.items()]
        # --force: a temporary folder that only its owner can enter is fine for a cluster of one user.
        command = [_path("munged"), "--foreground", "--force", *arguments, f"--log-file={own / 'log'}"]
        return Server("munged", command, log=self.folder / "munged.log", ready=r"Created \d+ work threads")

    def _controller(self) -> Server:
        return Server(
            "slurmctld",
            [_path("slurmctld"), "-D", "-f", str(self.config)],
            log=self.log,
            ready="Running as primary controller",
            env=self.env,
        )

    def _node(self) -> Server:
        return Server(
            "slurmd",
            [_path("slurmd"), "-D", "-f", str(self.config)],
            log=self.folder / "slurmd.log",
            ready="slurmd started",
            env=self.env,
        )

    def _write_config(self) -> None:
        host = socket.gethostname().split(".")[0]
        controller_port, node_port = free_ports(2)
        settings = {
            "ClusterName": "loopback",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": controller_port,
            "SlurmdPort": node_port,
            "SlurmUser": "root",
            "SlurmdUser": "root",
            "AuthInfo": f"socket={self.folder / 'munge' / 'socket'}",
            "StateSaveLocation": self.folder / "state",
            "SlurmdSpoolDir": self.folder / "spool",
            "SlurmctldPidFile": self.folder / "slurmctld.pid",
            "SlurmdPidFile": self.folder / "slurmd.pid",
            "SlurmdParameters": "config_overrides",  # the node has the cores we say
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core",
            "SchedulerType": "sched/backfill",  # which reckons expected starts
            "SchedulerParameters": "bf_interval=1,sched_interval=2,batch_sched_delay=0",
            "MailProg": "/bin/true",
            "MpiDefault": "none",
            "ReturnToService": 2,
            "KillWait": 5,
            "MinJobAge": 10,
            "NodeName": f"{host} NodeAddr=127.0.0.1 CPUs={self.cores} RealMemory=1000 State=UNKNOWN",
            "PartitionName": f"main Nodes={host} Default=YES MaxTime=INFINITE State=UP",
        }
        self.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def _of_cluster(config: Path, name: str) -> list[psutil.Process]:
    """Processes of that name that belong to the cluster of a configuration file."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == name and process.environ().get("SLURM_CONF") == str(config):
                found.append(process)
    return found


def _find(name: str) -> str | None:
    # Debian installs daemons in /usr/sbin, which is not on every user's PATH.
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def _path(name: str) -> str:
    return _find(name) or name
