# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a container may open: rules of its cgroup, where its user namespace is not wall enough; and, while it
runs, the nodes that lead to them."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import SetupFailed
from ..runtime import plugging, rules
from ..systemd import overrides, scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..device import Device
    from ..runtime.plugging import Node
    from ..spec import Spec
    from ..store import Record
    from .machinery import Machinery
    from .place import Place


def are_ruled(spec: Spec) -> bool:
    """In a user namespace nobody can make nodes, whatever the capabilities (mknod(2)), nor open any on a file system
    mounted there: only the nodes that we have put into /dev work. Rules cost PID 1 a millisecond a start: so only
    where the host's root could make nodes, and where a device was given and its r and w have to be kept.
    """
    return bool(spec.devices) or not spec.security.has_user_namespace


def properties(spec: Spec) -> list[list[Any]]:
    return scope.device_properties(spec.devices) if are_ruled(spec) else []


def check(spec: Spec, control_group: str) -> None:
    if are_ruled(spec):
        rules.check(control_group)


async def change_rules(machinery: Machinery, place: Place, devices: Sequence[Device]) -> None:
    """They stay until its end also where no device is left: PID 1 takes none away from a cgroup that is there."""
    before = rules.of_devices(place.control_group)
    with overrides.withdrawn(place.unit):
        await machinery.systemd.set_properties(place.unit, scope.changed_device_properties(devices))
    rules.check_renewed(place.control_group, before)


async def plug(machinery: Machinery, record: Record, wanted: Spec, process: int) -> list[Node]:
    """The nodes in its /dev are those that are wanted; what comes back is what plug_back() puts there again.

    process: a pidfd of the first one.
    """
    before, after = record.spec.devices, wanted.devices
    gone = [device for device in before if device not in after]
    new = [device for device in after if device not in before]
    try:
        return await _change(machinery, record, gone, new, process)
    except OSError as error:
        raise SetupFailed(f"change {error.filename or '/dev'} in the container", error.strerror or error) from error


async def plug_back(machinery: Machinery, record: Record, wanted: Spec, process: int, gone: list[Node]) -> None:
    """As before plug(), which had made `gone` of it."""
    before, after = record.spec.devices, wanted.devices
    new = [device for device in after if device not in before]
    shift = record.uid_shift
    close(await _inside(machinery, record, process, lambda first: plugging.change(first, shift, new, gone)))


async def replug(machinery: Machinery, record: Record, halfway: Spec, process: int) -> None:
    """Those that the store says, one by one: where plug() to those of `halfway` was cut off, some are as they were."""
    before, after = record.spec.devices, halfway.devices
    changes: list[tuple[list[Device], list[Device]]] = [([device], []) for device in after if device not in before]
    changes += [([], [device]) for device in before if device not in after]
    for gone, new in changes:
        try:
            close(await _change(machinery, record, gone, new, process))
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EEXIST):  # the old one is there still
                raise


async def _change(
    machinery: Machinery, record: Record, gone: Sequence[Device], new: Sequence[Device], process: int
) -> list[Node]:
    owner = record.uid_shift

    def work(first: int) -> list[Node]:
        nodes = machinery.staging.device_nodes(new, owner) if new else []
        try:
            return plugging.change(first, owner, gone, list(zip(new, nodes, strict=True)))
        finally:
            for node in nodes:
                os.close(node)

    return await _inside(machinery, record, process, work)


async def _inside(
    machinery: Machinery, record: Record, process: int, work: Callable[[int], list[Node]]
) -> list[Node]:
    lent = ExitStack()
    first = os.dup(process)
    lent.callback(os.close, first)
    return await machinery.lanes.run(record.owner_uid, lambda: work(first), lent, close)


def close(nodes: Sequence[Node]) -> None:
    for _, node in nodes:
        os.close(node)
