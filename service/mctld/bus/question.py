# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls, and what the call would do: everything that authorization needs, frozen before it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .descriptors import Descriptors

PUBLIC = "public"
INSPECT = "org.mctl1.inspect"
MANAGE = "org.mctl1.manage"
MANAGE_UNITS = "org.mctl1.manage-units"
LOGS = "org.mctl1.logs"
SET_LIMITS = "org.mctl1.set-limits"
UPDATE_PRIVILEGED = "org.mctl1.update-privileged"
LIST = "org.mctl1.list"
CREATE = "org.mctl1.create"
CREATE_PRIVILEGED = "org.mctl1.create-privileged"
NETWORKS = "org.mctl1.networks"
ATTACH = "org.mctl1.attach"
PUBLISH_PRIVILEGED = "org.mctl1.publish-privileged"
EXEC = "org.mctl1.exec"
EXEC_PRIVILEGED = "org.mctl1.exec-privileged"
IMAGES = "org.mctl1.images"
MANAGE_IMAGE = "org.mctl1.manage-image"
IMAGES_ADMIN = "org.mctl1.images-admin"
DAEMON_ADMIN = "org.mctl1.daemon-admin"

# A call that changes nothing ends with its caller, and one whose question says so.
CHANGING = frozenset(
    {
        MANAGE, SET_LIMITS, CREATE, CREATE_PRIVILEGED, EXEC, EXEC_PRIVILEGED, NETWORKS, PUBLISH_PRIVILEGED,
        MANAGE_IMAGE, IMAGES_ADMIN, MANAGE_UNITS, DAEMON_ADMIN, UPDATE_PRIVILEGED,
    }
)  # fmt: skip


async def _unbounded() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Call:
    """The first argument of every handler. `fds` belong to the message: a handler may take some."""

    sender: str
    uid: int
    groups: frozenset[int]
    interactive: bool
    fds: Descriptors
    pid: int = 0  # as the bus was told when the peer connected; for the record only
    # Raises LimitsExceeded where the user leaves too much unread: asked again before a long answer is made late.
    check_unread: Callable[[], Awaitable[None]] = field(default=_unbounded, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """May this be done? `args` are what the handler will get: what was authorized is what is executed."""

    actions: tuple[str, ...]
    args: tuple[object, ...] = ()
    verb: str = ""
    effect: str = ""  # completes "Authentication is required to ..."
    container: str | None = None  # as the caller calls it; None: the call is about no container that exists
    owner: int | None = None  # of that container, None where there is none
    details: Mapping[str, str] = field(default_factory=dict)
    subject: object = None
    again: Callable[[], object] = lambda: None  # looks the subject up anew; after authorization it must be the same
    noun: str = "container"  # what `container` is; else the name of another kind of object
    said: Mapping[str, str] = field(default_factory=dict)  # of the details: what the caller said
    ends_with_caller: bool = False  # whatever its actions: nobody else has anything of it
    blind_effect: str = ""  # in place of `effect` where only what the caller said may be shown
