# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Since the start, but for what is used at this moment. Bytes and microseconds; None where nobody counts.

    memory_cache: of the memory, what the kernel would give up first (inactive_file).
    stalled: for how long some task has waited for the resource.
    """

    monotonic_usec: int
    cpu_usec: int | None
    memory: int | None
    memory_cache: int | None
    memory_peak: int | None
    memory_limit: int | None
    swap: int | None
    tasks: int | None
    io_read: int | None
    io_written: int | None
    cpu_stalled_usec: int | None
    memory_stalled_usec: int | None
    io_stalled_usec: int | None
    received: int | None
    sent: int | None
    received_packets: int | None
    sent_packets: int | None
