"""Images whose pixels' places on the ground are known one by one: an index of them, and a sensor model over it."""

from orthokernel.geolocation.index import Further, Positions
from orthokernel.geolocation.model import GeolocationModel
from orthokernel.geolocation.solver import APART, REPLACEABLE

__all__ = ["APART", "REPLACEABLE", "Further", "GeolocationModel", "Positions"]
