"""Why a request cannot be planned. Permanent: the same request will not fare better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orthocontracts.messages import Fault

MAX_TEXT = 1900  # leaves room in a Fault's message of 2000


class PlanError(Exception):
    """A request that cannot become tasks. ``kind`` is stored with the job, the message is for its owner."""

    kind = "PlanError"

    def __init__(self, message: str) -> None:
        super().__init__(message[:MAX_TEXT])

    def fault(self) -> Fault:
        return Fault(kind=self.kind, message=str(self), permanent=True)


class ProductMissingError(PlanError):
    """A reference to nothing in the container ``products``."""

    kind = "ProductMissing"


class ProductGoneError(PlanError):
    """A product that was here, and has expired or been deleted. The message says when, and where else it is known."""

    kind = "ProductGone"


class NotHereError(PlanError):
    """Products named by id that are nowhere the site reads from.

    Attributes
    ----------
    looked : mapping of str to list of str
        By product: where it was looked for, and what was found there instead.
    """

    kind = "ProductMissing"

    def __init__(self, looked: Mapping[str, Sequence[str]]) -> None:
        said = "; ".join(
            f"id:{name} is not in the store" + "".join(f"; {why}" for why in reasons)
            for name, reasons in looked.items()
        )
        super().__init__(f"{said}: upload it, or name where it lies")
        self.looked = dict(looked)


class UnknownProductError(PlanError):
    """A product whose name or content orthoburst does not know."""

    kind = "UnknownProduct"


class NotAllowedError(PlanError):
    """A server or bucket that the site does not read from, or that lets nobody in."""

    kind = "NotAllowed"


class UnreachableError(PlanError):
    """A server that did not answer when the request was planned: the same request may fare better later."""

    kind = "Unreachable"


class BrokenProductError(PlanError):
    """A product that is there but cannot be read: a cut zip, a manifest without footprint, members missing."""

    kind = "BrokenProduct"


class UnsafeProductError(PlanError):
    """A product that tries to leave its folder or to exhaust memory: ``../`` names, entity declarations."""

    kind = "UnsafeProduct"


class NoAccessError(PlanError):
    """A restricted product, asked for by someone who is not among its readers."""

    kind = "NoAccess"


class AuxiliaryMissingError(PlanError):
    """A DEM or geoid that is not in the container ``aux``, or no terrain at all."""

    kind = "AuxiliaryMissing"


class OffProductError(PlanError):
    """A grid that no product touches."""

    kind = "OffProduct"


class UnfitOptionError(PlanError):
    """An option that its products cannot have, such as noise removal of an optical image."""

    kind = "UnfitOption"


class UnfitProductError(PlanError):
    """A product that the process which was asked for is not about."""

    kind = "UnfitProduct"


class NothingToCopyError(PlanError):
    """Copies asked for of images that are in blob storage already."""

    kind = "NothingToCopy"


class TooLargeError(PlanError):
    """More outputs or pixels than the site allows in one request."""

    kind = "TooLarge"
