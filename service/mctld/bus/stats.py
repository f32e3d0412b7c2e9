# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers use, as the bus tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_next.signature import Variant

from ..bounds import INFINITY

if TYPE_CHECKING:
    from ..usage import Usage
    from .engine import Container

NUMBERS = {
    "CPUUsageUSec": "cpu_usec",
    "MemoryCurrent": "memory",
    "MemoryCache": "memory_cache",
    "MemoryPeak": "memory_peak",
    "MemoryLimit": "memory_limit",
    "MemorySwapCurrent": "swap",
    "TasksCurrent": "tasks",
    "IOReadBytes": "io_read",
    "IOWriteBytes": "io_written",
    "CPUPressureUSec": "cpu_stalled_usec",
    "MemoryPressureUSec": "memory_stalled_usec",
    "IOPressureUSec": "io_stalled_usec",
    "NetworkReceivedBytes": "received",
    "NetworkSentBytes": "sent",
    "NetworkReceivedPackets": "received_packets",
    "NetworkSentPackets": "sent_packets",
    "TimestampMonotonic": "monotonic_usec",
}


def told(container: Container, usage: Usage) -> dict[str, Variant]:
    """What nobody counts is UINT64_MAX, as in systemd's units."""
    values = {name: getattr(usage, field) for name, field in NUMBERS.items()}
    return {
        "Name": Variant("s", container.name),
        "Id": Variant("s", container.id),
        "OwnerUID": Variant("u", container.owner_uid),
        **{name: Variant("t", INFINITY if value is None else value) for name, value in values.items()},
    }
