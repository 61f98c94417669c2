"""A systemd of its own: process 1 of a process namespace, over a root in memory and groups of its own.

It reaches servers on the machine's loopback, and nothing else of the machine: of its files only /usr, Python and this
checkout, which it cannot write.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

import psutil

from integration.worker_kit import until
from localdev.servers.process import Server

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_name("systemd_machine")
PACKAGES = Path(sysconfig.get_path("purelib"))
SYSTEMD = Path("/usr/lib/systemd/systemd")
UNITS = Path("/usr/lib/systemd/system")
PROGRAMS = ("systemctl", "unshare", "nsenter", "setpriv", "pivot_root", "useradd", "ldconfig")
INSIDE = ("--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd")
CAP_SYS_ADMIN = 21
CONTROLLERS = frozenset({"cpu", "cpuacct", "blkio", "memory", "devices", "pids"})
"""Those of the first kind of control groups that systemd makes groups for. It must have its own of each."""
KEPT = frozenset({"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"})
"""What is started of the system's own services."""


def missing_for_systemd() -> str | None:
    """Why none can be booted here; None: it can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if absent or not SYSTEMD.exists():
        return f"{', '.join(absent) or SYSTEMD} not installed (Debian: systemd)"
    (effective,) = re.findall(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if os.geteuid() != 0 or not int(effective, 16) >> CAP_SYS_ADMIN & 1:
        return "only root with the right to mount boots a systemd"
    for path in (CHECKOUT, PACKAGES, Path(sys.base_prefix)):
        if path.stat().st_mode & 0o005 != 0o005:
            return f"{path} is closed to the user that the units run as"
    places = {hierarchy.options if hierarchy.kind == "cgroup" else hierarchy.kind for hierarchy in hierarchies()}
    return None if places & {"none,name=systemd", "cgroup2"} else "no control groups that systemd can keep services in"


@dataclass(frozen=True)
class Hierarchy:
    """Control groups of this machine that systemd wants a part of."""

    name: str
    """Where systemd looks for them, below /sys/fs/cgroup."""
    kind: str
    options: str
    own: Path
    """The group of this process."""


def hierarchies() -> list[Hierarchy]:
    found = []
    ours = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where, (kind, _, said) = Path(line.split()[4]), line.partition(" - ")[2].split()
        words = [word for word in said.split(",") if word in CONTROLLERS or word == "name=systemd"]
        if kind == "cgroup" and words:
            own = ours.get(",".join(words), "/")
            options = "none,name=systemd" if "name=systemd" in words else ",".join(words)
            found.append(Hierarchy(where.name, kind, options, _below(where, own)))
        elif kind == "cgroup2":
            own = ours.get("", "/")
            name = "." if where == Path("/sys/fs/cgroup") else "unified"
            found.append(Hierarchy(name, kind, "", _below(where, own)))
    return found


def _below(mount: Path, group: str) -> Path:
    inside = mount / group.lstrip("/")
    return inside if inside.is_dir() else mount


class Machine(Server):
    """A node with systemd, and nothing installed but Python in /opt/python and the checkout in /srv/checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hostname = f"node-{uuid4().hex[:8]}"
        groups = [str(hierarchy.own / f"orthoburst-{self.hostname}") for hierarchy in hierarchies()]
        packages = PACKAGES.relative_to(sys.prefix)
        boot = ["sh", str(SCRIPTS / "boot"), str(folder), sys.base_prefix, sys.prefix, str(packages), str(CHECKOUT)]
        command = ["sh", str(SCRIPTS / "hold"), *groups, "--", *boot]
        super().__init__("systemd", command, log=folder / "systemd.log", ready="")  # says nothing: `start` asks it
        self._init: psutil.Process | None = None

    def start(self) -> Self:
        """Start, and wait until it has booted."""
        self._write()
        super().start()
        try:
            self._init = until(self._process_1, f"systemd to begin, see {self.log}", 20)
            until(lambda: self.systemctl("is-active", "multi-user.target", check=False) == "active", "it to boot", 20)
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def root(self) -> Path:
        """Its files, as seen from outside."""
        assert self._init is not None
        return Path(f"/proc/{self._init.pid}/root")

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> str:
        """What a command of the machine's root writes."""
        assert self._init is not None
        done = subprocess.run(
            ["nsenter", f"--target={self._init.pid}", *INSIDE, *command],
            input=stdin,
            env={"PATH": "/usr/sbin:/usr/bin"},
            text=True,
            capture_output=True,
            timeout=150,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}{done.stdout}"
        return (done.stdout + done.stderr).strip()

    def shell(self, script: str, *arguments: str) -> str:
        return self.run("sh", "-ec", script, "sh", *arguments)

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.run("systemctl", "--no-pager", *arguments, check=check)

    def shown(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.systemctl("show", unit, *(f"--property={name}" for name in names))
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def journal(self, unit: str) -> str:
        self.run("journalctl", "--sync")
        return self.run("journalctl", f"--unit={unit}", "--output=cat")

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def _process_1(self) -> psutil.Process | None:
        assert self.running, self.log.read_text()
        for process in psutil.Process(self.group).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.exe() == str(SYSTEMD.resolve()):
                    return process
        return None

    def _write(self) -> None:
        """What the machine begins with, beside what it has of this one."""
        home = Path("/opt/orthoburst")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        units = [path.name for path in UNITS.glob("*.target.wants/*") if path.name not in KEPT]
        files = {
            "etc/passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
            "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
            "etc/shadow": "root:*:19000::::::\n",
            "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
            "etc/login.defs": "USERGROUPS_ENAB yes\n",
            "etc/hosts": "127.0.0.1 localhost\n",
            "etc/hostname": f"{self.hostname}\n",
            "etc/machine-id": f"{uuid4().hex}\n",
            # Python's own library goes before one of the same name in /usr
            "etc/ld.so.conf": f"/opt/python/lib\n{_library_folders()}",
            "etc/systemd/journald.conf": "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitBurst=0\n",
            "opt/orthoburst/pyvenv.cfg": "home = /opt/python/bin\n",
            "opt/orthoburst/bin/orthoagent": _program("orthoagent", home / "bin" / "python"),
            "packages.pth": "".join(f"/srv/checkout/{path}\n" for path in _packages()),
            "hierarchies": "".join(f"{one.name} {one.kind} {one.options}\n" for one in hierarchies()),
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.folder / "opt/orthoburst/bin/orthoagent").chmod(0o755)
        (self.folder / "opt/orthoburst/bin/python").symlink_to(f"/opt/python/bin/{version}")
        masked = self.folder / "etc/systemd/system"
        masked.mkdir()
        for name in set(units):
            (masked / name).symlink_to("/dev/null")


def _library_folders() -> str:
    return "".join(path.read_text() + "\n" for path in sorted(Path("/etc/ld.so.conf.d").glob("*.conf")))


def _program(name: str, python: Path) -> str:
    """A command of this environment, as that of another."""
    return re.sub(r"\A#!.*", f"#!{python}", Path(sysconfig.get_path("scripts"), name).read_text())


def _packages() -> Iterator[Path]:
    """Folders of the checkout that its editable installation names."""
    (listed,) = PACKAGES.glob("*orthoburst*.pth")
    return (Path(line).relative_to(CHECKOUT) for line in listed.read_text().split())
