"""Processes that die, which the bench of a day has too."""

from localdev.crash import Crash, Fuse, fused

__all__ = ["Crash", "Fuse", "fused"]
