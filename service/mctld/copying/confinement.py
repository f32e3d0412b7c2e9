# SPDX-License-Identifier: GPL-3.0-or-later
"""The child goes where the container's files are, as the container sees them, and keeps nothing of the host's.

Its root directory is the container's, so no path and no link leads out, however they are changed meanwhile
(CVE-2018-15664); it is root of the container's user namespace, with the capabilities to own files and no others. It is
in no PID namespace of the container's: nobody inside sees it. Nothing is imported any more, so nothing of the
container's is loaded (CVE-2019-14271); a filter leaves it some sixty system calls, execve(2) not among them.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

from ..images.confinement import CALLS, profile
from ..kernel import constants as c
from ..kernel import mount, process
from ..runtime import filesystems
from ..runtime.stage import Descriptors

if TYPE_CHECKING:
    from .request import Request

DESCRIPTORS = 1024
MEMORY = 1 << 30
OOM_SCORE = 500  # mctld's own is negative: it shall outlive this child
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: capabilities(7)
CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 31))
FILTER = profile((*CALLS, "fgetxattr", "flistxattr", "readlinkat", "setitimer"))


def confine(request: Request) -> None:
    """Whatever fails, fails as OSError. Afterwards the descriptors of the request are closed, but for the stream."""
    _limit()
    program = os.pread(request.program, os.fstat(request.program).st_size, 0)
    sys.meta_path.clear()  # what is not loaded by now would be looked for among the container's files
    process.unshare(c.CLONE_NEWNET | c.CLONE_NEWIPC | c.CLONE_NEWUTS | c.CLONE_NEWCGROUP)
    if request.process >= 0:
        _join(request)
    else:
        _mount(request)
    for descriptor in request.descriptors:
        if descriptor != request.stream:
            os.close(descriptor)
    os.umask(0)
    process.clear_ambient()
    process.set_capabilities(CAPABILITIES, CAPABILITIES, 0)
    process.set_dumpable(dumpable=False)
    process.end_with_parent()
    process.forbid_new_privileges()
    process.set_filter(program)


def _join(request: Request) -> None:
    """The mount namespace of a container that runs, its volumes included."""
    own = c.CLONE_NEWUSER if request.user_namespace else 0
    process.enter_namespaces(request.process, c.CLONE_NEWNS | own)
    _become_root(request)


def _mount(request: Request) -> None:
    """What a start would show, in a mount namespace that nobody else is in."""
    if request.user_namespace:
        process.enter_namespaces(request.ids, c.CLONE_NEWUSER)
    _become_root(request)
    process.unshare(c.CLONE_NEWNS)
    descriptors = Descriptors(["root"], [request.root])
    filesystems.attach_root(descriptors)
    for number, target in request.mounts:
        place = filesystems.open_place(request.root, target, directory=_is_directory(number))
        mount.attach(number, place)
        os.close(place)
    if request.read_only:
        mount.set_attributes(request.root, c.MOUNT_ATTR_RDONLY)
    filesystems.pivot(descriptors)


def _become_root(request: Request) -> None:
    if request.user_namespace:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def _is_directory(descriptor: int) -> bool:
    return os.fstat(descriptor).st_mode & 0o170000 == 0o040000


def _limit() -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(OOM_SCORE))
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
