"""Servers that the whole suite shares. A test takes names of its own (container, queue, topic) inside them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from figures import FIGURES, Figure
from localdev.servers import Azurite, Broker
from orthoagent.settings import _own_cache
from orthocontracts.version import KERNEL_RESULT_VERSION


def _numba_cache() -> Path:
    """The kernel is compiled once, for the tests and the agents that they start: a minute of either.

    Of tests that run side by side each process has a copy of its own: numba's caches break where two write at once.
    """
    of_agents = _own_cache() / f"numba-r{KERNEL_RESULT_VERSION}"
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return of_agents
    own = of_agents.with_name(f"{of_agents.name}-{worker}")
    for folder in of_agents.glob("*/"):  # of a package of this checkout or another: whole or not at all
        if not (own / folder.name).exists():
            shutil.copytree(folder, own / folder.name)
    return own


os.environ["NUMBA_CACHE_DIR"] = str(_numba_cache())  # before anything imports numba, which reads it then
UNIT = Path(__file__).with_name("unit")
# that an example takes 200 ms says nothing where others run beside it; who promises a time measures it, alone
hypothesis.settings.register_profile("beside", deadline=None)
hypothesis.settings.load_profile("beside")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """The storage emulator, started when the first test asks. A test that kills servers starts its own."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The MQTT broker of this machine, open to everyone on loopback."""
    with Broker(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests are ``parallel`` unless they are ``alone``; others are when they say so.

    Of several tests of one name pytest-xdist runs one and is content: they are alone too.
    """
    of_name = Counter(item.nodeid for item in items)
    for item in items:
        if item.path.parent == UNIT and item.get_closest_marker("alone") is None and of_name[item.nodeid] == 1:
            item.add_marker("parallel")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process beside others hands its figures to the one that prints."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["figures"] = [asdict(figure) for figure in FIGURES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    FIGURES.extend(Figure(**figure) for figure in getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the promised figures of this run."""
    if FIGURES:
        terminalreporter.section("promised figures")
        for figure in FIGURES:
            terminalreporter.line(str(figure))
