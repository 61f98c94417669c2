"""The folder that Azure Functions deploys, and the zip of it: ``infra/functions/package [OUT]``.

It is the project's ``functions/`` with the wheel and its Linux dependencies in ``.python_packages``, where Azure's
Python worker looks for them, at the versions and hashes of ``requirements.lock``. Bytecode is in it, marked as never
to be checked: Azure mounts the package read-only, and where it could not keep what it compiles, every cold start
would compile everything anew.
"""

from __future__ import annotations

import argparse
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packing.bom import bill_of
from packing.lock import ROOT, LockError, part_for, read_lock

PYTHON = (3, 11)
"""Of the function app: ``linuxFxVersion`` and this must agree, compiled packages fit one version only."""
PLATFORM = "x86_64-manylinux_2_28"
EXTRAS = ("functions", "identity", "telemetry")
WITHOUT = ("aiohttp",)
"""The asynchronous half of Azure's clients, which the agent uses; importing it takes a tenth of a second."""
FILES = ("function_app.py", "host.json")
SITE_PACKAGES = Path(".python_packages", "lib", "site-packages")
IMPORT_LIMIT_S = 1.5
TIMES = 5

_TIMED_IMPORT = """
import sys, time
sys.path[:0] = sys.argv[1:]
began_s = time.perf_counter()
import function_app
print(time.perf_counter() - began_s, time.process_time())
"""


class PackageError(Exception):
    """The package cannot be built here."""


@dataclass(frozen=True)
class ColdImport:
    """Seconds that ``import function_app`` takes a process that has just started, with nothing else on its path."""

    wall_s: float
    cpu_s: float
    """Of the whole process, its start included."""


def build_folder(out: Path) -> None:
    """Make the folder, whole or not at all; one that stands there is replaced where it is a function app.

    Raises
    ------
    PackageError
        Where Python 3.11 is not here, ``out`` is something else, or a package cannot be had.
    """
    python = find_python()
    if out.exists() and not (out / FILES[1]).is_file():
        raise PackageError(f"{out} is there and is no function app: name another folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder, lock = Path(scratch, "app"), Path(scratch, "requirements.lock")
        site_packages = folder / SITE_PACKAGES
        site_packages.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(ROOT / "functions" / name, folder / name)
        pins = part_for(EXTRAS, read_lock(), without=WITHOUT)
        lock.write_text("".join(pin.text for pin in pins), encoding="utf-8")
        _uv("build", "--wheel", *_tools("--build-constraints"), "--out-dir", scratch, str(ROOT))
        wheel = next(Path(scratch).glob("*.whl"))
        target = ["--target", str(site_packages), "--python-version", ".".join(map(str, PYTHON))]
        target += ["--python-platform", PLATFORM, "--only-binary", ":all:", "--link-mode", "copy"]
        # Dependencies are resolved once more: one that the lock's part lacks has no hash, and is refused.
        _uv("pip", "install", *target, "--require-hashes", "-r", str(lock))
        _uv("pip", "install", *target, "--no-deps", str(wheel))
        shutil.rmtree(site_packages / "bin", ignore_errors=True)
        (folder / "bom.json").write_text(bill_of("orthoburst-functions", pins, python=PYTHON), encoding="utf-8")
        compile_never_checked(python, folder)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)


def compile_never_checked(python: str, folder: Path) -> None:
    """Bytecode for everything in a folder, which Python takes without a look at the source."""
    _run([python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(folder)])


def write_zip(folder: Path, path: Path) -> None:
    """The same bytes for the same folder, wherever and whenever it is zipped."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def cold_imports(folder: Path, times: int = TIMES) -> list[ColdImport]:
    """Each in a process of its own that sees the folder and the standard library only; one more warms the disk."""
    command = [find_python(), "-I", "-S", "-B", "-c", _TIMED_IMPORT, str(folder / SITE_PACKAGES), str(folder)]
    said = [_run(command).split() for _ in range(times + 1)]
    return [ColdImport(float(wall_s), float(cpu_s)) for wall_s, cpu_s in said[1:]]


def find_python() -> str:
    """An interpreter of the version that the package is for."""
    name = ".".join(map(str, PYTHON))
    here = sys.executable if sys.version_info[:2] == PYTHON else None
    found = here or shutil.which(f"python{name}")
    if found is None:
        raise PackageError(f"python{name} is not here: the function app runs on it, and its bytecode is made with it")
    return found


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    _run([str(beside) if beside.is_file() else "uv", *arguments[:1], "--quiet", *arguments[1:]])


def _tools(option: str) -> tuple[str, str, str]:
    return option, str(ROOT / "infra" / "packing" / "tools.lock"), "--require-hashes"


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackageError(f"{Path(command[0]).name} {command[1]} failed: {done.stderr.strip()[-1500:]}")
    return done.stdout


def size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="package", description="Build what Azure Functions deploys.")
    parser.add_argument(
        "out", nargs="?", type=Path, default=ROOT / "dist" / "functions", help="folder; default %(default)s"
    )
    parser.add_argument("--no-zip", action="store_true", help="the folder alone, no OUT.zip beside it")
    options = parser.parse_args(arguments)
    out: Path = options.out.absolute()
    try:
        build_folder(out)
        sys.stdout.write(f"{out}: {size_mb(out):.1f} MB\n")
        if not options.no_zip:
            archive = out.with_name(f"{out.name}.zip")
            write_zip(out, archive)
            sys.stdout.write(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB\n")
        runs = cold_imports(out)
    except (PackageError, LockError) as error:
        sys.stderr.write(f"package: {error}\n")
        return 1
    took_s = sorted(run.wall_s for run in runs)
    sys.stdout.write(
        f"cold import {statistics.median(took_s):.2f} s ({took_s[0]:.2f} to {took_s[-1]:.2f}, "
        f"promised under {IMPORT_LIMIT_S})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
