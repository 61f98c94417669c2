"""A campaign's life, as data: which state follows which. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class CampaignState(StrEnum):
    PLANNED = "planned"  # there is a plan and a price; nothing is made
    RUNNING = "running"
    PAUSED = "paused"  # nothing more of it is released; what runs goes on
    DONE = "done"  # every product of it has ended, well or not
    CANCELLING = "cancelling"  # nothing more of it is released; its jobs are being cancelled
    CANCELLED = "cancelled"


class CampaignAction(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"  # its failed products once more
    CANCEL = "cancel"


_S, _A = CampaignState, CampaignAction
_MOVES: Final = {
    (_S.PLANNED, _A.START): _S.RUNNING,
    (_S.RUNNING, _A.START): _S.RUNNING,
    (_S.RUNNING, _A.PAUSE): _S.PAUSED,
    (_S.PAUSED, _A.PAUSE): _S.PAUSED,
    (_S.PAUSED, _A.RESUME): _S.RUNNING,
    (_S.RUNNING, _A.RESUME): _S.RUNNING,
    (_S.RUNNING, _A.RETRY): _S.RUNNING,
    (_S.PAUSED, _A.RETRY): _S.PAUSED,
    (_S.DONE, _A.RETRY): _S.RUNNING,
    (_S.PLANNED, _A.CANCEL): _S.CANCELLED,
    (_S.RUNNING, _A.CANCEL): _S.CANCELLING,
    (_S.PAUSED, _A.CANCEL): _S.CANCELLING,
    (_S.CANCELLING, _A.CANCEL): _S.CANCELLING,
    (_S.CANCELLED, _A.CANCEL): _S.CANCELLED,
}


class CampaignStateError(Exception):
    """What a campaign in its state cannot do."""

    def __init__(self, campaign: str, state: CampaignState, action: CampaignAction) -> None:
        can = [str(possible) for (there, possible) in _MOVES if there is state] or ["nothing"]
        super().__init__(f"campaign {campaign} is {state}: it cannot {action}, only {', '.join(can)}")


def moved(campaign: str, state: CampaignState, action: CampaignAction) -> CampaignState:
    """The state an action leads to. The same again is harmless.

    Raises
    ------
    CampaignStateError
    """
    try:
        return _MOVES[state, action]
    except KeyError:
        raise CampaignStateError(campaign, state, action) from None
