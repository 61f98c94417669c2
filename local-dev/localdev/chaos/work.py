"""The work: real runs of the kernel on small simulated scenes, each request a task of a second or a few."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError

from localdev.demo.work import DEM_REF, Store
from localdev.scene import RpcSpec, SceneSpec, make_rpc_image, make_sentinel1
from orthoburst import Client, OrthoburstError
from orthocontracts.requests import Request

log = logging.getLogger(__name__)

SIZE = (400, 500)
AGAIN_S = 0.5


@dataclass(frozen=True)
class Scenes:
    """Products of one place, and the DEM under them."""

    radar: tuple[Path, ...]
    rpc: Path
    dem: Path

    @classmethod
    def make(cls, folder: Path) -> Scenes:
        """A zip, a SAFE folder, an image with RPC."""
        first = make_sentinel1(
            SceneSpec(folder / "a", size_lines_samples=SIZE, fractal_seed=3, relief_m=900, zip_it=True)
        )
        assert first.dem_path is not None
        second = make_sentinel1(
            SceneSpec(folder / "b", size_lines_samples=SIZE, dem_file=first.dem_path, seed=2, platform="S1B")
        )
        rpc = make_rpc_image(RpcSpec(folder / "c" / "image.tif", size_lines_samples=(500, 500)))
        return cls((first.path, second.path), rpc.path, first.dem_path)

    def upload(self, store: Store) -> tuple[str, ...]:
        """Their references, the image's last."""
        store.upload_aux(self.dem, DEM_REF)
        return tuple(store.upload_product(path) for path in (*self.radar, self.rpc))


def requests_for(products: Sequence[str], count: int) -> list[Request]:
    """So many requests that each want something of their own; every seventh wants what another wants too."""
    return [_request(products, number - 3 if number % 7 == 6 else number, number) for number in range(count)]


def _request(products: Sequence[str], what: int, number: int) -> Request:
    product = products[what % len(products)]
    is_radar = product != products[-1]
    spacing_m = round((3.0 if is_radar else 1.0) + 0.05 * what, 2)
    wanted: dict[str, object] = {
        "request_id": f"chaos-{number}",
        "products": [product],
        "grid": {"kind": "footprint", "spacing_m": spacing_m},
        "terrain": {"dem": DEM_REF} if is_radar else {"height_m": 0},
        "options": {"resampling": "cubic"},
    }
    if is_radar and what % 4 == 0:
        wanted["options"] = {"radiometry": "gamma0_rtc"}
    return Request.model_validate(wanted)


class Feeder:
    """Asks for the work bit by bit, so that there is always some: over HTTP and by queue message in turn."""

    def __init__(
        self, requests: Sequence[Request], store: Store, client: Client, open_tasks: Callable[[], int]
    ) -> None:
        self._requests, self._store, self._client, self._open_tasks = requests, store, client, open_tasks
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self._stop = threading.Event()
        self.fed = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        return self.fed == len(self._requests)

    def _run(self, backlog: int = 12) -> None:
        asked_s = 0.0
        while not self._stop.is_set() and not self.is_done:
            # what was asked for a moment ago is not a task yet
            if self._open_tasks() >= backlog or time.monotonic() - asked_s < AGAIN_S:
                self._stop.wait(0.1)
            elif self._ask(self._requests[self.fed]):
                self.fed, asked_s = self.fed + 1, time.monotonic()
            else:
                self._stop.wait(AGAIN_S)

    def _ask(self, request: Request) -> bool:
        """Whether it was taken. Asking twice for the same is one job."""
        try:
            if self.fed % 2:
                self._store.send_request(request)
            else:
                asked = request.model_dump(mode="json", exclude_unset=True)
                self._client.submit(
                    asked["products"], grid=asked["grid"], terrain=asked["terrain"], options=asked["options"],
                    request_id=request.request_id,
                )  # fmt: skip
        except (AzureError, OrthoburstError) as error:
            log.info("not taken: %s", type(error).__name__)
            return False
        return True
