# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a container may open: rules of its cgroup, where its user namespace is not wall enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..runtime import rules
from ..systemd import scope

if TYPE_CHECKING:
    from ..spec import Spec


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
