"""The whole system on one machine: storage, broker, functions host, agents, and a cloud pool of processes."""

from __future__ import annotations

from localdev.stack.stack import Stack, StackSpec

__all__ = ["Stack", "StackSpec"]
