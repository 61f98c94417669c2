"""How long uploaded products are kept: ``settings/archive.yaml``. Pure. Without the file all of them are, for ever."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from orthocontracts.model import Document
from orthocontracts.products import Mission
from orthocontracts.wire import explain
from orthofunctions.domain.records import InventoryRecord
from orthofunctions.domain.yamlfiles import read_yaml

LEAST_DAYS: Final = 1 / 24
"""Events of an upload come late, and its standing orders ask only then."""


class ArchiveFileError(ValueError):
    """``settings/archive.yaml`` cannot be used. Nothing expires until it is mended."""


class RawRule(Document):
    """What holds for products that fit all it says: the first rule that fits a product counts.

    ``days`` after its arrival, and ``idle_days`` after the last job that needed it was over, a product may go.
    Without ``days`` it is kept. One that no image was ever asked of is kept too, unless ``unasked``.
    """

    prefix: Annotated[str, StringConstraints(pattern=r"^products/[A-Za-z0-9._~+=,@():/-]*$", max_length=500)] = (
        "products/"
    )
    missions: tuple[Mission, ...] = ()
    product_types: tuple[Annotated[str, StringConstraints(max_length=40)], ...] = Field(default=(), max_length=50)
    days: float | None = Field(default=None, ge=LEAST_DAYS, le=36_500)
    idle_days: float = Field(default=0.0, ge=0, le=36_500)
    unasked: bool = False

    @model_validator(mode="after")
    def _what_is_kept_is_kept(self) -> RawRule:
        if self.days is None and (self.unasked or self.idle_days):
            raise ValueError("idle_days and unasked are for rules with days: without days a product is kept")
        return self

    def fits(self, record: InventoryRecord) -> bool:
        return (
            record.ref.startswith(self.prefix)
            and (not self.missions or record.mission in self.missions)
            and (not self.product_types or record.product_type in self.product_types)
        )

    def old_enough(self, since: datetime, now: datetime) -> bool:
        return self.days is not None and now - since >= timedelta(days=self.days)

    def idle_enough(self, idle_since: datetime | None, now: datetime) -> bool:
        """``idle_since`` None: no job ever needed it."""
        if idle_since is None:
            return self.unasked
        return now - idle_since >= timedelta(days=self.idle_days)


class RawRules(Document):
    """All that ``settings/archive.yaml`` says."""

    version: Literal[1] = 1
    raw: tuple[RawRule, ...] = Field(default=(), max_length=100)

    @property
    def any_expire(self) -> bool:
        return any(rule.days is not None for rule in self.raw)

    def of(self, record: InventoryRecord) -> RawRule | None:
        """The rule by which a product may expire; None: it is kept. What lies elsewhere is not ours to delete."""
        if record.where != "blobs":
            return None
        rule = next((rule for rule in self.raw if rule.fits(record)), None)
        return rule if rule is not None and rule.days is not None else None

    def expires_at(self, record: InventoryRecord) -> datetime | None:
        """From when on it may go, if nobody needs it then."""
        rule = self.of(record)
        return None if rule is None or rule.days is None else record.arrived_at + timedelta(days=rule.days)


def parse_raw_rules(text: bytes | None) -> RawRules:
    """What the file says; that all is kept where there is none.

    Raises
    ------
    ArchiveFileError
    """
    if text is None:
        return RawRules()
    try:
        return RawRules.model_validate(read_yaml(text)[1])
    except ValidationError as error:
        raise ArchiveFileError(f"settings/archive.yaml: {explain(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise ArchiveFileError(f"settings/archive.yaml is no YAML: {said}") from error
