"""Servers that the whole suite shares. A test takes names of its own (container, queue, topic) inside them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from figures import FIGURES
from localdev.servers import Azurite, Broker
from orthoagent.settings import _own_cache
from orthocontracts.version import KERNEL_RESULT_VERSION

# The kernel is compiled once, for the tests and the agents that they start: a minute of either. Before anything imports
# numba, which reads it then.
os.environ["NUMBA_CACHE_DIR"] = str(_own_cache() / f"numba-r{KERNEL_RESULT_VERSION}")


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the promised figures of this run."""
    if FIGURES:
        terminalreporter.section("promised figures")
        for figure in FIGURES:
            terminalreporter.line(str(figure))
