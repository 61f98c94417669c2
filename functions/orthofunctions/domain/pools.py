"""The pools a site has, and who may use how much of them: ``settings/pools.yaml``."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from orthocontracts.model import Document, Identifier
from orthofunctions.domain.runtimes import RunTimes
from orthofunctions.domain.yamlfiles import read_yaml

PoolKind = Literal["onprem", "cloud"]
PoolName = Annotated[Identifier, Field(max_length=40)]

BLOB_STORE = "blobs"
"""The pipeline's own storage account: where products land and results live unless a site says otherwise."""
REMOTE_STORE = "remote"
"""Servers that requests name. Every pool may read from them."""
_BYTES_PER_GB = 1e9
_DEFAULT_RUN_TIMES = RunTimes()


class StoreSpec(Document):
    """A place where data lies. ``egress_eur_per_gb`` is what it costs to carry a gigabyte out of it.

    ``blobs`` is read from everywhere; any other is a folder of a site, which only pools that have it in ``local`` read.
    Where a server shows the same folder, ``address`` is that: the planner reads of it what a plan needs. ``remote`` are
    the servers that requests name; pools with it in ``local`` are near to them.
    """

    name: Identifier
    address: str | None = Field(default=None, pattern=r"^(https?|s3)://[^\s?#@]+$")
    egress_eur_per_gb: float = Field(default=0.0, ge=0)


class PoolSpec(Document):
    """One pool of workers.

    ``max_slots`` is the most that may ever run at once. An on-prem pool's workers advertise what is there now; a cloud
    pool's come when its queue has work. ``start_limit_s`` is how long a release may wait for a worker before it is
    recalled, ``queue_ahead`` how many releases may wait on an on-prem queue so that slots do not idle between tasks.
    Data of the stores in ``local`` is at hand; what lies in ``blobs`` comes to others at ``bandwidth_mb_per_s`` a slot.
    ``results_in`` is the store where images of its runs stay, until somebody wants a copy.
    """

    name: PoolName
    kind: PoolKind
    max_slots: int = Field(ge=0, le=100_000)
    queue_ahead: int = Field(default=0, ge=0, le=1000)
    keep_free: int = Field(default=0, ge=0, le=100_000, description="slots that campaigns leave free, for users")
    startup_s: float = Field(default=0.0, ge=0, description="from release to a running worker")
    start_limit_s: float = Field(default=1800.0, gt=0)
    machine: str = Field(default="", max_length=80, description="what learned run times are kept under; '': the name")
    price_per_slot_hour_eur: float = Field(default=0.0, ge=0, description="of a cloud slot")
    run_overhead_s: float = Field(default=15.0, ge=0, description="of a run, whatever its size")
    run_s_per_megapixel: float = Field(default=0.3, ge=0)
    local: tuple[Identifier, ...] = Field(default=(BLOB_STORE,), description="stores whose data need not travel")
    bandwidth_mb_per_s: float = Field(default=100.0, gt=0, description="of data from elsewhere, for one slot")
    results_in: Identifier = BLOB_STORE
    egress_eur_per_gb: float = Field(default=0.0, ge=0, description="of results, where their store is not local")

    def nominal_s(self, megapixels: float) -> float:
        """What a run of that size takes as the file has it: what learned run times are held against."""
        return self.run_overhead_s + self.run_s_per_megapixel * megapixels

    def run_cost_eur(self, slot_s: float) -> float:
        """What so many seconds of a slot cost in money still to be spent: on-prem slots are paid for."""
        return 0.0 if self.kind == "onprem" else self.price_per_slot_hour_eur * slot_s / 3600


class ShareSpec(Document):
    """What a user, or each user of a group, may have.

    ``weight`` is a share of the centre beside the others'; ``max_running`` releases at once; ``credits_eur`` cloud
    money a month. None: no limit.
    """

    weight: float = Field(default=1.0, gt=0, le=1e6)
    max_running: int | None = Field(default=None, ge=0)
    credits_eur: float | None = Field(default=None, ge=0)
    may_overdraw: bool = Field(default=False, description="urgent requests go to the cloud beyond the month's budget")


class GroupSpec(ShareSpec):
    """A group: its ``weight`` is shared by those of its members who have work."""

    name: Identifier
    members: tuple[str, ...] = ()


class RestrictedSpec(Document):
    """Products whose path begins with ``prefix`` are only for ``readers``, users and groups.

    What is made of them is shared with nobody: two readers who want the same have it made twice.
    """

    prefix: str = Field(pattern=r"^(products|https?:/|s3:/|site:/)/[A-Za-z0-9._~+=,@():/-]*$")
    readers: tuple[str, ...] = ()


class SiteSpec(Document):
    """All that ``settings/pools.yaml`` says.

    ``month_budget_eur`` goes before the app setting of that name: it holds from the next round on, without a restart.
    """

    version: Literal[1] = 1
    month_budget_eur: float | None = Field(default=None, ge=0)
    pools: tuple[PoolSpec, ...] = Field(min_length=1)
    stores: tuple[StoreSpec, ...] = (StoreSpec(name=BLOB_STORE),)
    everyone: ShareSpec = ShareSpec()
    users: dict[str, ShareSpec] = Field(default_factory=dict)
    groups: tuple[GroupSpec, ...] = ()
    restricted: tuple[RestrictedSpec, ...] = ()

    @model_validator(mode="after")
    def _names_are_known_and_unique(self) -> Self:
        for what, found in (("pool", self.pools), ("store", self.stores), ("group", self.groups)):
            names = [one.name for one in found]
            if len(set(names)) != len(names):
                raise ValueError(f"a {what}'s name is used twice: {', '.join(names)}")
        stores = {store.name for store in self.stores}
        for pool in self.pools:
            unknown = [name for name in pool.local if name not in stores]
            if unknown:
                raise ValueError(
                    f"pool {pool.name}: local names the store {unknown[0]!r}; there are {', '.join(sorted(stores))}"
                )
            if pool.results_in != BLOB_STORE and pool.results_in not in pool.local:
                raise ValueError(f"pool {pool.name}: results_in is {pool.results_in!r}, which is not among its local")
        members = [member for group in self.groups for member in group.members]
        twice = sorted({member for member in members if members.count(member) > 1})
        if twice:
            raise ValueError(f"user {twice[0]!r} is a member of two groups")
        return self

    def budget_eur(self, otherwise_eur: float | None) -> float | None:
        """What a month may cost, given what the app settings say. None: no limit."""
        return otherwise_eur if self.month_budget_eur is None else self.month_budget_eur

    def pool(self, name: str | None) -> PoolSpec | None:
        return next((pool for pool in self.pools if pool.name == name), None)

    def group_of(self, user: str) -> GroupSpec | None:
        return next((group for group in self.groups if user in group.members), None)

    def share_of(self, user: str) -> ShareSpec:
        """What holds for a user: their own entry, else their group's, else everyone's."""
        return self.users.get(user) or self.group_of(user) or self.everyone


class PoolsFileError(ValueError):
    """``settings/pools.yaml`` cannot be used: the line, the field, what was expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"settings/pools.yaml is not usable: {reason}")


DEFAULT_SITE = SiteSpec(
    pools=(
        PoolSpec(name="hpc", kind="onprem", max_slots=64, queue_ahead=1),
        PoolSpec(name="cloud", kind="cloud", max_slots=20, startup_s=60.0, price_per_slot_hour_eur=0.2),
    )
)


def parse_site(text: bytes | None) -> SiteSpec:
    """What a settings file says, YAML or JSON, or the default where there is none.

    Raises
    ------
    PoolsFileError
        Where the file does not hold what it should.
    """
    return DEFAULT_SITE if text is None else _parse(text)


# Asked several times for every product, task and report: YAML in Python takes 4 ms of processor time for two pools.
@lru_cache(maxsize=8)
def _parse(text: bytes) -> SiteSpec:
    try:
        tree, values = read_yaml(text)
    except UnicodeDecodeError as error:
        raise PoolsFileError(f"byte {error.start} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise PoolsFileError(f"{where}{getattr(error, 'problem', None) or error}, expected YAML") from error
    if not isinstance(values, dict):
        raise PoolsFileError("line 1: expected keys such as 'pools:'")
    try:
        return SiteSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        line = _line_of(tree, first["loc"])
        found = "" if first["type"] == "missing" or not first["loc"] else f", found {first['input']!r:.60}"
        raise PoolsFileError(f"line {line}: {field}: {first['msg']}{found}") from error


def _line_of(node: Any, path: tuple[int | str, ...]) -> int:
    """The line of a field, or of the innermost thing around it that the file has."""
    line: int = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
