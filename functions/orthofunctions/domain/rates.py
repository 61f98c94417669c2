"""How often somebody may call: a bucket that fills steadily and that every call takes from."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many calls were left at a moment."""

    left: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a call.

    Attributes
    ----------
    bucket : Bucket
    allowed : bool
    limit : int
        Calls a full bucket holds, which is what comes in a minute.
    remaining : int
        Calls that could follow at once.
    full_in_s, next_in_s : int
        Until the bucket is full, and until there is a call in it, both rounded up.
    """

    bucket: Bucket
    allowed: bool
    limit: int
    remaining: int
    full_in_s: int
    next_in_s: int


def take(bucket: Bucket | None, per_minute: int, now_s: float, calls: int = 1) -> Taken:
    """Take calls from a bucket, full where there was none. One that has too few left keeps what it has.

    With ``calls`` 0 it is only looked at: allowed where one call could follow.
    """
    rate = per_minute / 60.0
    left = float(per_minute)
    if bucket is not None:
        left = min(left, bucket.left + max(0.0, now_s - bucket.at_s) * rate)
    allowed = left >= max(calls, 1)
    if allowed:
        left -= calls
    return Taken(
        bucket=Bucket(left, now_s),
        allowed=allowed,
        limit=per_minute,
        remaining=int(left),
        full_in_s=math.ceil((per_minute - left) / rate),
        next_in_s=math.ceil(max(0.0, 1.0 - left) / rate),
    )
