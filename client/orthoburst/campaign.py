"""A campaign: images made anew of what has long been there, where nobody else's work wants to run."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from orthoburst.http import Session


class Campaign:
    """One campaign, as the API described it last: ``document`` has its state, price, progress and what it has spent."""

    def __init__(self, session: Session, document: dict[str, Any]) -> None:
        self._session = session
        self.document = document

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def state(self) -> str:
        """``planned``, ``running``, ``paused``, ``done``, ``cancelling`` or ``cancelled``."""
        return str(self.document["state"])

    def refresh(self) -> Campaign:
        """Ask how it stands now."""
        self.document = self._session.call("GET", self._path())
        return self

    def start(self) -> Campaign:
        """Have it done. Products that come later are none of its business."""
        return self._act("start")

    def pause(self) -> Campaign:
        """Release nothing more of it. What runs goes on."""
        return self._act("pause")

    def resume(self) -> Campaign:
        """Go on after `pause`."""
        return self._act("resume")

    def retry(self) -> Campaign:
        """Take its failed products once more."""
        return self._act("retry")

    def cancel(self) -> Campaign:
        """Cancel it. Images that are there stay."""
        self.document = self._session.call("DELETE", self._path())
        return self

    def failed(self, limit: int = 100) -> list[dict[str, Any]]:
        """Products that failed: ``product``, ``jobID``, ``message``, ``attempt``."""
        found: list[dict[str, Any]] = self._session.call("GET", f"{self._path()}/failed?limit={limit}")["products"]
        return found

    def __repr__(self) -> str:
        return f"<Campaign {self.id} {self.state}>"

    def _act(self, action: str) -> Campaign:
        self.document = self._session.call("POST", f"{self._path()}/{action}")
        return self

    def _path(self) -> str:
        return f"/campaigns/{quote(self.id, safe='')}"
