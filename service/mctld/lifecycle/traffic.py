# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the network where no interface is the container's own: with the host's network, PID 1 counts for its
cgroup (systemd.resource-control(5), IPAccounting=). Loopback is among it, and Ethernet's headers are not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from ..bounds import INFINITY
from ..errors import MctlError

if TYPE_CHECKING:
    from ..spec import Spec
    from ..systemd.manager import Manager
    from ..usage import Usage

COUNTERS = {
    "received": "IPIngressBytes", "sent": "IPEgressBytes",
    "received_packets": "IPIngressPackets", "sent_packets": "IPEgressPackets",
}  # fmt: skip


def is_counted(spec: Spec) -> bool:
    return spec.networking.host


def properties(spec: Spec) -> list[list[Any]]:
    return [["IPAccounting", Variant(signature="b", value=True)]] if is_counted(spec) else []


async def completed(systemd: Manager, unit: str, usage: Usage | None) -> Usage | None:
    """With what PID 1 has counted; without it where its kernel cannot, or the unit is gone meanwhile."""
    if usage is None:
        return None
    try:
        found = await systemd.counters(unit, COUNTERS.values())
    except MctlError:
        return usage
    return replace(usage, **{field: found[name] for field, name in COUNTERS.items() if found[name] != INFINITY})
