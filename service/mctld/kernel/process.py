# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and what they may do: clone3(2), setns(2), unshare(2), capset(2), close_range(2), prctl(2), seccomp(2)."""

from __future__ import annotations

import ctypes
import errno
import signal

import _prctl  # python-prctl's part in C: mctl-oci pays with each command for what is around it

from . import constants as c
from .libc import Bytes, Int, Pointer, Size, ULong, call, function

_clone3 = call(435, "clone3", Pointer, Size, holds_gil=True)  # the child must come back holding the GIL
_pidfd_getfd = call(438, "pidfd_getfd", Int, Int, ctypes.c_uint)
_close_range = call(436, "close_range", ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
_setns = function("setns", Int, Int)  # os.setns came with Python 3.12
_unshare = function("unshare", Int)
_keyctl = call(c.SYS_KEYCTL, "keyctl", Int, Pointer)
_setfsuid = function("setfsuid", ctypes.c_uint)
_setfsgid = function("setfsgid", ctypes.c_uint)
_sethostname = function("sethostname", Bytes, Size)
_setdomainname = function("setdomainname", Bytes, Size)
_capget = function("capget", Pointer, Pointer)
_capset = function("capset", Bytes, Bytes)
_ioprio_set = call(c.SYS_IOPRIO_SET, "ioprio_set", Int, Int, Int)
_sched_setattr = call(c.SYS_SCHED_SETATTR, "sched_setattr", Int, Pointer, ctypes.c_uint)
_personality = function("personality", ULong)
_seccomp = call(c.SYS_SECCOMP, "seccomp", ctypes.c_uint, ctypes.c_uint, Pointer)
_control = function("prctl", Int, ULong, ULong, ULong, ULong)  # what python-prctl does not know

NO_ID = 2**32 - 1  # which changes nothing
_CAPABILITY_VERSION_3 = 0x20080522


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack",
            "stack_size", "tls", "set_tid", "set_tid_size", "cgroup",
        )
    )  # fmt: skip


def clone(namespaces: int, cgroup: int | None = None) -> tuple[int, int]:
    """Like fork(2), with new namespaces: (pid, pidfd) in the parent, (0, -1) in the child.

    From birth in `cgroup`, an open directory of the cgroup v2 hierarchy, if there is one.
    The caller must be single-threaded: Python's own work after a fork is not done in the child.
    """
    if cgroup is None:
        return _clone(namespaces, exit_signal=int(signal.SIGCHLD))
    return _clone(namespaces | c.CLONE_INTO_CGROUP, exit_signal=int(signal.SIGCHLD), cgroup=cgroup)


def clone_for_parent(namespaces: int, cgroup: int) -> tuple[int, int]:
    """As clone, but a child of our own parent, who is told of its end, and from birth in `cgroup`.

    `cgroup` is an open directory of the cgroup v2 hierarchy.
    """
    return _clone(namespaces | c.CLONE_PARENT | c.CLONE_INTO_CGROUP, cgroup=cgroup)


def clone_sharing_descriptors() -> int:
    """Like fork(2), with one table of descriptors for both: the pid, 0 in the child. Whoever waits says __WALL."""
    arguments = _CloneArguments(flags=c.CLONE_FILES)
    return _clone3(ctypes.addressof(arguments), ctypes.sizeof(arguments))


def _clone(flags: int, **more: int) -> tuple[int, int]:
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(flags=flags | c.CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), **more)
    pid = _clone3(ctypes.addressof(arguments), ctypes.sizeof(arguments))
    return pid, pidfd.value if pid else -1


def clone_sibling(cgroup: int | None, namespaces: int = 0) -> int:
    """Like fork(2), but a child of our own parent, whose exit signal it inherits, and from birth in `cgroup`.

    `cgroup` is an open directory of the cgroup v2 hierarchy; None: ours. The pid, as we see it, in the caller; 0 in
    the child.
    """
    into = {} if cgroup is None else {"cgroup": cgroup}
    flags = namespaces | c.CLONE_PARENT | (0 if cgroup is None else c.CLONE_INTO_CGROUP)
    arguments = _CloneArguments(flags=flags, **into)
    return _clone3(ctypes.addressof(arguments), ctypes.sizeof(arguments))


def take_descriptor(process: int, number: int) -> int:
    """A close-on-exec copy of what the process that the pidfd means has open under that number, pidfd_getfd(2)."""
    return _pidfd_getfd(process, number, 0)


def enter_namespaces(process: int, namespaces: int) -> None:
    """Those of the process that the pidfd means, all or none; CLONE_NEWPID is for children to come, setns(2).

    Or the one namespace that the descriptor stands for. Only the calling thread enters.
    """
    _setns(process, namespaces)


def unshare(namespaces: int) -> None:
    _unshare(namespaces)


def join_session_keyring() -> None:
    """A new anonymous one, keyctl_join_session_keyring(3)."""
    _keyctl(c.KEYCTL_JOIN_SESSION_KEYRING, None)


def set_hostname(name: str) -> None:
    encoded = name.encode()
    _sethostname(encoded, len(encoded))


def set_domainname(name: str) -> None:
    encoded = name.encode()
    _setdomainname(encoded, len(encoded))


def set_io_priority(number_class: int, level: int) -> None:
    """IOPRIO_CLASS_* of linux/ioprio.h and 0 to 7, ioprio_set(2), for this process."""
    _ioprio_set(c.IOPRIO_WHO_PROCESS, 0, number_class << 13 | level)


class _Scheduling(ctypes.Structure):
    """struct sched_attr of linux/sched/types.h, as Linux 3.14 had it first"""

    _fields_ = (
        ("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64), ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )  # fmt: skip


def set_scheduling(
    policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int
) -> None:
    """SCHED_* and SCHED_FLAG_* of linux/sched.h, times in nanoseconds: sched_setattr(2), for this thread."""
    size = ctypes.sizeof(_Scheduling)
    wanted = _Scheduling(size, policy, flags, nice, priority, runtime, deadline, period)
    _sched_setattr(0, ctypes.addressof(wanted), 0)


def set_personality(domain: int) -> None:
    _personality(domain)


def close_on_exec(first: int) -> None:
    """Mark every descriptor from `first` on close-on-exec, those of C libraries included."""
    _close_range(first, 0xFFFFFFFF, c.CLOSE_RANGE_CLOEXEC)


def leave_descriptors(first: int) -> None:
    """The calling thread alone has descriptors of its own from now on: of ours a copy of those below `first`."""
    _close_range(first, 0xFFFFFFFF, c.CLOSE_RANGE_UNSHARE)


def permitted_capabilities() -> int:
    """The bit set of capabilities(7) that this thread could use."""
    header = ctypes.create_string_buffer(b"".join(n.to_bytes(4, "little") for n in (_CAPABILITY_VERSION_3, 0)), 8)
    words = ctypes.create_string_buffer(24)
    _capget(ctypes.addressof(header), ctypes.addressof(words))
    return int.from_bytes(words.raw[4:8], "little") | int.from_bytes(words.raw[16:20], "little") << 32


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Bit sets of capabilities(7) for this thread."""
    header = b"".join(n.to_bytes(4, "little") for n in (_CAPABILITY_VERSION_3, 0))
    words = [s >> shift & 0xFFFFFFFF for shift in (0, 32) for s in (effective, permitted, inheritable)]
    _capset(header, b"".join(n.to_bytes(4, "little") for n in words))


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog, linux/filter.h"""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def set_filter(program: bytes) -> None:
    """PR_SET_SECCOMP is seccomp(2) without flags, and the same call on every architecture."""
    instructions, described = _described(program)
    _control(c.PR_SET_SECCOMP, c.SECCOMP_MODE_FILTER, ctypes.addressof(described), 0, 0)
    del instructions


def set_flagged_filter(program: bytes, flags: int) -> int:
    """SECCOMP_FILTER_FLAG_* of seccomp(2).

    With NEW_LISTENER it is a close-on-exec descriptor by which another process answers for SECCOMP_RET_USER_NOTIF,
    seccomp_unotify(2); else 0.
    """
    instructions, described = _described(program)
    listener = _seccomp(c.SECCOMP_SET_MODE_FILTER, flags, ctypes.addressof(described))
    del instructions
    return listener


def _described(program: bytes) -> tuple[object, _FilterProgram]:
    """The first must live as long as the second, which points into it."""
    instructions = ctypes.create_string_buffer(program, len(program))
    return instructions, _FilterProgram(len(program) // c.SIZEOF_SOCK_FILTER, ctypes.addressof(instructions))


def reset_attributes() -> None:
    """Personality, I/O priority, timer slack and huge pages as every process has them that nobody meddled with."""
    _ioprio_set(c.IOPRIO_WHO_PROCESS, 0, 0)
    _personality(0)
    _control(c.PR_SET_TIMERSLACK, c.TIMERSLACK_DEFAULT, 0, 0, 0)
    _control(c.PR_SET_THP_DISABLE, 0, 0, 0, 0)


def set_dumpable(*, dumpable: bool) -> None:
    """One that is not cannot be traced, nor used what it has open, by others of its user. execve(2) sets it anew."""
    _prctl.prctl(_prctl.PR_SET_DUMPABLE, int(dumpable))


def keep_capabilities() -> None:
    """The permitted ones stay when root becomes another user, until execve(2)."""
    _prctl.prctl(_prctl.PR_SET_KEEPCAPS, 1)


def end_with_parent() -> None:
    """The thread that is our parent: SIGKILL, when it ends."""
    _prctl.prctl(_prctl.PR_SET_PDEATHSIG, int(signal.SIGKILL))


def set_filesystem_ids(number: int) -> None:
    """User and group by which this thread's access to files is judged, and which own what it makes: setfsuid(2).

    No longer root's, if they were, are then the capabilities to pass over modes of files.
    """
    for change in (_setfsgid, _setfsuid):
        change(number)
        if change(NO_ID) & NO_ID != number:  # they say what it was, and nothing of failures
            raise OSError(errno.EPERM, "setfsuid", str(number))


def forbid_new_privileges() -> None:
    _prctl.prctl(_prctl.PR_SET_NO_NEW_PRIVS, 1)


def limit_bounding_set(number: int) -> None:
    """Nothing that we execute from now on gets this capability."""
    _prctl.prctl(_prctl.PR_CAPBSET_DROP, number)


def raise_ambient(number: int) -> None:
    _control(c.PR_CAP_AMBIENT, c.PR_CAP_AMBIENT_RAISE, number, 0, 0)


def clear_ambient() -> None:
    _control(c.PR_CAP_AMBIENT, c.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
