# SPDX-License-Identifier: GPL-3.0-or-later
"""The scope that owns a container's cgroup, systemd.scope(5)."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from .. import cpuset, reach
from ..bounds import INFINITY
from ..limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device

READER_STOP_USEC = 1_000_000  # it ignores SIGTERM, and no signal ends one that is stuck
STOP_GRACE_USEC = 5_000_000  # beyond the container's own timeout: we kill it, PID 1 only if we cannot


# null, zero, full, random, urandom, tty, console and ptmx: Documentation/admin-guide/devices.txt of Linux
COMMON_DEVICES = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2")
RATES = {
    "IOReadBandwidthMax": "io_read_bandwidth_max",
    "IOWriteBandwidthMax": "io_write_bandwidth_max",
    "IOReadIOPSMax": "io_read_iops_max",
    "IOWriteIOPSMax": "io_write_iops_max",
}
POSSIBLE = {
    "AllowedCPUs": "/sys/devices/system/cpu/possible",
    "AllowedMemoryNodes": "/sys/devices/system/node/possible",
}


def unit_name(container: str) -> str:
    return f"mctl-{container}.scope"


def reader_name(pid: int) -> str:
    """Of a reader that is stuck. No container's begins so."""
    return f"mctld-reader-{pid}.scope"


def reader_properties(owner_uid: int, pid: int) -> list[list[Any]]:
    return [
        ["Description", Variant("s", "Reader of a pipe that somebody keeps all others from")],
        ["Slice", Variant("s", slice_name(owner_uid))],
        ["PIDs", Variant("au", [pid])],
        ["TimeoutStopUSec", Variant("t", READER_STOP_USEC)],
        ["CollectMode", Variant("s", "inactive-or-failed")],
    ]


def slice_name(owner_uid: int) -> str:
    return f"mctl-u{owner_uid}.slice"


def control_group(container: str, owner_uid: int) -> str:
    """Below /sys/fs/cgroup; a slice a-b.slice lies in a.slice, systemd.slice(5)."""
    return f"/mctl.slice/{slice_name(owner_uid)}/{unit_name(container)}"


def properties(
    container: str, owner_uid: int, pid: int, limits: Limits, timeout_stop_usec: int, stop_signal: int
) -> list[list[Any]]:
    """For StartTransientUnit. No text of a caller's but the validated name: it would end up in a unit file.

    PID 1 asks the controller to stop a scope, but forgets it when its bus name goes away, and takes no other later
    (on_controller_gone and bus_scope_set_property of systemd 252 and 257, dbus-scope.c): after a restart of the
    service, and without it, PID 1 itself sends the stop signal, to all processes.
    """
    grace = min(timeout_stop_usec + STOP_GRACE_USEC, INFINITY)
    return [
        ["Description", Variant("s", f"Container {container}")],
        ["PIDs", Variant("au", [pid])],
        ["Slice", Variant("s", slice_name(owner_uid))],
        ["Delegate", Variant(signature="b", value=True)],
        ["Controller", Variant("s", "org.mctl1")],
        ["KillSignal", Variant("i", stop_signal)],
        ["TimeoutStopUSec", Variant("t", grace)],
        ["CollectMode", Variant("s", "inactive-or-failed")],
        ["OOMPolicy", Variant("s", "continue")],
        *limit_properties(limits),
    ]


def device_properties(devices: Sequence[Device]) -> list[list[Any]]:
    """Nothing but `devices` and what every container has may be opened, whatever nodes there are; none may be made."""
    rules = [[f"/dev/char/{numbers}", "rw"] for numbers in COMMON_DEVICES]
    rules += [["char-pts", "rw"], *([device.node, device.permissions] for device in devices)]
    return [["DevicePolicy", Variant("s", "strict")], ["DeviceAllow", Variant("a(ss)", rules)]]


def changed_device_properties(devices: Sequence[Device]) -> list[list[Any]]:
    """Of a unit that has others, or none: assignments add up, and an empty one takes back those before it."""
    policy, rules = device_properties(devices)
    return [policy, ["DeviceAllow", Variant("a(ss)", [])], rules]


def limit_properties(limits: Limits) -> list[list[Any]]:
    """What a new scope needs to be told; what is not limited is left to the slice."""
    return [*changed_properties(Limits(), limits), ["TasksMax", Variant("t", limits.tasks_max)]]


def changed_properties(old: Limits, new: Limits) -> list[list[Any]]:
    """From one set of limits to another, in systemd.resource-control(5)'s words."""
    before, after = _numbers(old), _numbers(new)
    found = [[name, Variant("t", value)] for name, value in after.items() if value != before[name]]
    for name, was, now in (
        ("AllowedCPUs", old.cpu_set, new.cpu_set),
        ("AllowedMemoryNodes", old.cpu_set_mems, new.cpu_set_mems),
    ):
        if was != now:
            found.append([name, Variant("ay", cpuset.mask(cpuset.parse(name, now or _possible(name))))])
    for name, field in RATES.items():
        was, now = getattr(old, field), getattr(new, field)
        if was:  # assignments add up, and an empty one takes back those before it
            found += [[name, Variant("a(st)", [])]] if was != now else []
        if was != now and now:
            found.append([name, Variant("a(st)", [list(rate) for rate in now])])
    return found + _reach(old, new)


def _reach(old: Limits, new: Limits) -> list[list[Any]]:
    """PID 1 looks at forbidden ports only when it looks at addresses too (bus_cgroup_set_property() of systemd 252 and
    257, dbus-cgroup.c, invalidates nothing for them), so those are said again.
    """
    deny = [[_subnet(text) for text in limits.ip_address_deny] for limits in (old, new)]
    allow = [[_subnet(text) for text in limits.ip_address_allow] for limits in (old, new)]
    ports = [[_ports(text) for text in limits.socket_bind_deny] for limits in (old, new)]
    addresses = _list("IPAddressAllow", "a(iayu)", *allow) + _list("IPAddressDeny", "a(iayu)", *deny)
    forbidden = _list("SocketBindDeny", "a(iiqq)", *ports)
    again = [["IPAddressDeny", Variant("a(iayu)", deny[1])]] if forbidden and not addresses else []
    return addresses + forbidden + again


def _list(name: str, signature: str, was: list[Any], now: list[Any]) -> list[list[Any]]:
    """Assignments add up, and an empty one takes back those before it."""
    if was == now:
        return []
    return [[name, Variant(signature, value)] for value in ([] if was else None, now or None) if value is not None]


def _subnet(text: str) -> list[Any]:
    network = ip_network(text)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    return [int(family), network.network_address.packed, network.prefixlen]


def _ports(text: str) -> list[int]:
    """Family (0: both), protocol, how many and the first."""
    protocol, first, count = reach.ports("SocketBindDeny", text)
    return [0, protocol, count, first]


def _possible(name: str) -> str:
    """All there can be: PID 1 takes an empty set for none asked for and leaves the kernel's file as it was."""
    with open(POSSIBLE[name]) as file:
        return file.read().strip()


def _numbers(limits: Limits) -> dict[str, int]:
    return {
        "MemoryMax": limits.memory_max,
        "MemoryHigh": limits.memory_high,
        "MemoryLow": limits.memory_low,
        "MemorySwapMax": limits.memory_swap_max,
        "CPUQuotaPerSecUSec": limits.cpu_quota_per_sec_usec,
        "CPUQuotaPeriodUSec": limits.cpu_quota_period_usec,
        "CPUWeight": limits.cpu_weight,
        "TasksMax": limits.tasks_max,
        "IOWeight": limits.io_weight,
    }
