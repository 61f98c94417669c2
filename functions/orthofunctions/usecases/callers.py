"""What a process remembers of its callers, for a minute at most."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orthofunctions.domain.pools import PoolsFileError, SiteSpec
from orthofunctions.ports import Ports
from orthofunctions.usecases.keys import ProvedKeys, any_key
from orthofunctions.usecases.rates import Rates
from orthofunctions.usecases.site import load_site

logger = logging.getLogger(__name__)

SITE_S, ANY_KEY_S = 30.0, 60.0
"""How long the site's file, and that nobody has a key yet, are believed."""


@dataclass
class Callers:
    """Keys that were proved, buckets of calls, the site's groups.

    ``in_azure``: this process runs in Azure Functions, where nobody calls from the same machine.
    """

    in_azure: bool = False
    keys: ProvedKeys = field(default_factory=ProvedKeys)
    rates: Rates = field(default_factory=Rates)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _site: tuple[SiteSpec | None, datetime] | None = None
    _no_key_at: datetime | None = None
    _had_key: bool = False

    def site(self, ports: Ports) -> SiteSpec | None:
        """What the site's file says; None where it is not usable: then nobody is in a group of it."""
        now = ports.clock.now()
        with self._lock:
            found = self._site
        if found is not None and now - found[1] < timedelta(seconds=SITE_S):
            return found[0]
        try:
            site: SiteSpec | None = load_site(ports)
        except PoolsFileError as error:
            logger.warning("%s", error, extra={"action": "pools_file"})
            site = None
        with self._lock:
            self._site = (site, now)
        return site

    def any_key(self, ports: Ports) -> bool:
        """Whether any API key was ever made. Once there was one, that is not asked again."""
        now = ports.clock.now()
        with self._lock:
            if self._had_key:
                return True
            if self._no_key_at is not None and now - self._no_key_at < timedelta(seconds=ANY_KEY_S):
                return False
        found = any_key(ports)
        with self._lock:
            self._had_key, self._no_key_at = found, now
        return found
