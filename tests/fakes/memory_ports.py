"""The ports in memory, which the bench of a day runs on too."""

from localdev.memory_ports import (
    ManualClock,
    MemoryBell,
    MemoryBlobs,
    MemoryLinks,
    MemoryMessage,
    MemoryQueues,
    MemoryTables,
    memory_ports,
)

__all__ = [
    "ManualClock",
    "MemoryBell",
    "MemoryBlobs",
    "MemoryLinks",
    "MemoryMessage",
    "MemoryQueues",
    "MemoryTables",
    "memory_ports",
]
