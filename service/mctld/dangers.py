# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a specification takes an administrator's consent: each danger in words, as the prompt will show it."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from .image import ImageRoot
from .security import RLIMIT_INFINITY, RLIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .device import Device
    from .security import Security
    from .spec import Spec


def dangers(spec: Spec) -> tuple[str, ...]:
    """Empty for what an ordinary user may do unasked: a container that has no more than everybody's walls allow."""
    # paths last: they can be long, and what a person is shown begins with what nobody else chose the words of
    known = ("a place among the host's machines (systemd-machined)",) if spec.machine else ()
    return (*_security(spec.security), *known, *_network(spec), *_name_servers(spec), *_host_files(spec))


def gained(
    spec: Spec | None, rlimits: Iterable[tuple[str, int, int]], devices: Iterable[Device]
) -> tuple[str, ...]:
    """What of these takes that consent: all but what `spec`, which somebody has allowed, has already. None: all."""
    limits = spec.security.resource_limits if spec else RLIMITS
    more = tuple(limit for limit in rlimits if limit[2] > max(limits[limit[0]][1], RLIMITS[limit[0]][1]))
    had = spec.devices if spec else ()
    new = [device for device in devices if not any(device.is_no_more_than(other) for other in had)]
    return (*_resource_limits(more), *map(_device, new))


def _device(device: Device) -> str:
    return f"the device {device.path}" + ("" if "w" in device.permissions else " (read-only)")


def _resource_limits(limits: Iterable[tuple[str, int, int]]) -> Iterator[str]:
    for name, _, hard in limits:
        yield f"a resource limit {name} of {'unlimited' if hard == RLIMIT_INFINITY else hard}"


def _host_files(spec: Spec) -> Iterator[str]:
    yield from map(_device, spec.devices)
    if not isinstance(spec.rootfs, ImageRoot) and spec.rootfs.owner is None:
        yield f"files of other users in {spec.rootfs.path}"
    for bind in spec.binds:
        if bind.source.owner is None:
            yield f"files of other users in {bind.source.path}" + (" (read-only)" if bind.read_only else "")


def _network(spec: Spec) -> Iterator[str]:
    if spec.networking.host:
        yield "the host's network"
    for port in (*spec.networking.ports, *spec.activation.ports):
        if port.is_privileged:
            yield f"the host's port {port}"


def _name_servers(spec: Spec) -> Iterator[str]:
    """They are asked from the host, whose loopback is not what a container has by that address."""
    for text in spec.name_servers if spec.networking.own else ():
        address = ip_address(text)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback or address.is_unspecified:
            yield f"the host's own name server at {text}"


def _security(security: Security) -> Iterator[str]:
    if security.asked_capabilities:
        yield f"capabilities {' '.join(security.asked_capabilities)}"
    if security.seccomp == "unconfined":
        yield "no system call filter"
    elif security.seccomp not in ("default", "strict"):
        yield "a system call filter of the caller's own"
    if security.unmask:
        yield f"access to {' '.join(security.unmask)}"
    if not security.has_user_namespace:
        yield "the host's user ids"
    elif security.first_id is not None:
        yield f"user ids from {security.first_id} on"
    if not security.has_user_namespace and not security.no_new_privileges:
        yield "set-user-ID programs that become the host's root"
    if security.oom_score_adjust < 0:
        yield "protection from the OOM killer"
    yield from _resource_limits(security.raised_limits)
