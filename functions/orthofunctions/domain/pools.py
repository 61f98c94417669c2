"""The pools a site has: ``settings/pools.json``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from orthocontracts.model import Document, Identifier

PoolKind = Literal["onprem", "cloud"]


class PoolSpec(Document):
    """One pool of workers.

    ``max_slots`` is the most that may ever run at once. An on-prem pool's workers advertise what is there now; a cloud
    pool's come when its queue has work. ``start_limit_s`` is how long a release may wait for a worker before it is
    recalled, ``queue_ahead`` how many releases may wait on an on-prem queue so that slots do not idle between tasks.
    """

    name: Identifier = Field(max_length=40)
    kind: PoolKind
    max_slots: int = Field(ge=0, le=100_000)
    queue_ahead: int = Field(default=0, ge=0, le=1000)
    startup_s: float = Field(default=0.0, ge=0, description="from release to a running worker")
    start_limit_s: float = Field(default=1800.0, gt=0)
    price_per_slot_hour_eur: float = Field(default=0.0, ge=0, description="of a cloud slot")
    run_overhead_s: float = Field(default=15.0, ge=0, description="of a run, whatever its size")
    run_s_per_megapixel: float = Field(default=0.3, ge=0)

    def run_s(self, megapixels: float) -> float:
        """Expected run time of a task in seconds, fetch and delivery included."""
        return self.run_overhead_s + self.run_s_per_megapixel * megapixels

    def cost_eur(self, megapixels: float) -> float:
        """What a run may cost in money still to be spent: start-up and run. On-prem slots are already paid."""
        if self.kind == "onprem":
            return 0.0
        return self.price_per_slot_hour_eur * (self.startup_s + self.run_s(megapixels)) / 3600


class PoolsFile(Document):
    version: Literal[1] = 1
    pools: tuple[PoolSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise ValueError(f"a pool's name is used twice: {', '.join(names)}")
        return self


class PoolsFileError(ValueError):
    """``settings/pools.json`` cannot be used. Nothing is released until it is mended."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"settings/pools.json is not usable: {reason}")


DEFAULT_POOLS = (
    PoolSpec(name="hpc", kind="onprem", max_slots=64, queue_ahead=1),
    PoolSpec(name="cloud", kind="cloud", max_slots=20, startup_s=60.0, price_per_slot_hour_eur=0.2),
)


def parse_pools(text: bytes | None) -> tuple[PoolSpec, ...]:
    """The pools of a settings file, or the default ones where there is none.

    Raises
    ------
    PoolsFileError
        Where the file does not hold what it should.
    """
    if text is None:
        return DEFAULT_POOLS
    try:
        return PoolsFile.model_validate_json(text).pools
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise PoolsFileError(f"{where}: {first['msg']}") from error
