"""What several of these tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.site_kit import SiteBroker
from integration.worker_kit import Storage
from localdev.servers import Azurite


@pytest.fixture(scope="module")
def storage(azurite: Azurite) -> Iterator[Storage]:
    """A pool of its own, for the tests of a module. A test that leaves work behind makes its own."""
    world = Storage(azurite)
    yield world
    world.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteBroker]:
    """A site's broker as ``infra`` has it, with everybody's certificates."""
    with SiteBroker(tmp_path_factory.mktemp("site")) as broker:
        yield broker


@pytest.fixture(scope="session")
def registered() -> dict[str, Any]:
    """What the function app registers, by name. It may be asked only once in a process."""
    import function_app

    return {one.get_function_name(): one for one in function_app.app.get_functions()}


@pytest.fixture(scope="session")
def functions(registered: dict[str, Any]) -> dict[str, Callable[..., None]]:
    """The functions of the app, by name, as Azure calls them."""
    return {name: one.get_user_function() for name, one in registered.items()}
