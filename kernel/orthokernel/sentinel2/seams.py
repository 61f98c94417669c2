"""Where two detectors that see the same ground are cut."""

from __future__ import annotations

import math

from orthokernel.sentinel2.pushbroom import PushbroomModel

_STEPS = 8
_WITHIN_PX = 1e-3


def cut_between(one: PushbroomModel, other: PushbroomModel) -> tuple[float, float]:
    """First and last sample with which ``one`` gives pixels, where ``other`` sees the ground beside it.

    The last is as far from its detector's edge as the other's sample of the same ground is from its own: the middle of
    what they have in common, in the middle of their lines and at sea level. With line and height the middle wanders
    by a few samples; the cut does not, and what ``one`` leaves the other takes, so that there is neither gap nor
    doubt.
    """
    whole = -0.5, math.nan
    line = one.first_line + 0.5 * (one.n_lines - 1)

    def its_sample(sample: float) -> float:
        return float(other.ground_to_smooth(*one.image_to_ground(line, sample, 0.0), 0.0)[1])

    centre = its_sample(0.5 * (one.n_samples - 1))
    if not math.isfinite(centre):
        return whole
    # The other lies beyond the high samples of this where the middle of this is below its low ones.
    beyond_high = centre < 0.5 * (other.n_samples - 1)
    edge, its_edge = (one.n_samples - 0.5, -0.5) if beyond_high else (-0.5, other.n_samples - 0.5)
    way = 1.0 if beyond_high else -1.0
    sample = edge
    for _ in range(_STEPS):
        excess = way * (its_sample(sample) - its_edge) - way * (edge - sample)
        sample -= 0.5 * way * excess  # both distances change by the step
        if not math.isfinite(sample):
            return whole
        if abs(excess) < _WITHIN_PX:
            break
    if not (-0.5 < sample < one.n_samples - 0.5):
        return whole  # nothing in common
    return (-0.5, sample) if beyond_high else (sample, math.nan)
