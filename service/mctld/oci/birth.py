# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's first process: a child of ours, so that our caller's subreaper, conmon or a shim, inherits it.

Where namespaces are to be entered, a process between enters them and then has a sibling (CLONE_PARENT): we ourselves
stay where we are, for hooks run in our namespaces.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys

from ..errors import SetupFailed
from ..kernel import constants as c
from ..kernel import process
from ..runtime import plainjson, programs, stage
from . import namespaces as spaces
from .inside.operations import OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .identifiers import Maps
    from .namespaces import Namespaces

LISTENER_FD = 200  # where the child keeps what it must not lose when descriptors are handed on
MESSAGE_MAX = 64 << 10


class Child:
    """A process that follows a plan, and the channel to it."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        self.received: dict[str, int] = {}
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:
            channel.close()
            raise

    def follow(self, plan: list[dict[str, Any]], descriptors: dict[str, int]) -> None:
        """SetupFailed when it is gone already."""
        written = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(written, plainjson.dumps(plan).encode())
            os.lseek(written, 0, os.SEEK_SET)
            names = ["plan", *descriptors]
            message = plainjson.dumps({"descriptors": names}).encode()
            socket.send_fds(self._channel, [message], [written, *descriptors.values()])
        except OSError as error:
            raise SetupFailed("hand the plan to the container's process", error.strerror) from error
        finally:
            os.close(written)

    def open_gate(self) -> None:
        self._channel.send(b"g")

    def await_event(self, wanted: str) -> None:
        """SetupFailed with the step that failed. What it hands up meanwhile is in `received`."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_MAX, 4)
            if not message:
                raise SetupFailed("prepare the container's process", "it ended early: was it killed?")
            told = plainjson.loads(message)
            if "operation" in told:
                raise failure(told)
            self.received |= dict(zip(told.get("descriptors", ()), descriptors, strict=False))
            if told.get("event") == wanted:
                return

    def raise_pending(self) -> None:
        """The failure that it has told of already, if it has."""
        self._channel.setblocking(False)  # noqa: FBT003
        try:
            self.await_event("")
        except BlockingIOError:
            return

    def await_execution(self) -> None:
        """End of file: executed. What a terminal's step hands up is taken on the way."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._channel, MESSAGE_MAX, 4)
            if not message:
                return
            told = plainjson.loads(message)
            if "operation" in told:
                raise failure(told)
            self.received |= dict(zip(told.get("descriptors", ()), descriptors, strict=False))

    def discard(self) -> None:
        """It never became a container. It is a child of ours, so nobody else will reap it."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass

    def close(self) -> None:
        self._channel.close()
        for descriptor in (self.pidfd, *self.received.values()):
            os.close(descriptor)
        self.received.clear()


def failure(told: dict[str, Any]) -> SetupFailed:
    return SetupFailed(told["does"], told["text"])


def bear(wanted: Namespaces, maps: Maps | None, time_offsets: str, *, preserved: int) -> Child:
    """A child in the namespaces, blocked on its channel; nothing of the container is made yet."""
    entered = spaces.open_entered(wanted)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if entered or "time" in wanted.new:

            def enter() -> int | None:
                _enter(entered, time_offsets, time="time" in wanted.new)
                return None

            pid = _bear_sibling(enter, wanted.clone_flags, theirs, preserved)
        else:
            pid, pidfd = process.clone(wanted.clone_flags)
            if pid == 0:
                _become_stage(theirs, preserved)
            os.close(pidfd)
    except OSError as error:
        ours.close()
        raise SetupFailed("make the container's process", f"{error.strerror} ({error.filename or 'clone3'})") from error
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        spaces.close(entered)
    child = Child(pid, ours)
    try:
        if maps is not None:
            write_maps(pid, maps)
    except BaseException:
        child.discard()
        child.close()
        raise
    return child


def join(
    container: int, cgroup: int | None, processors: tuple[int, ...], *, pid_namespace: bool, preserved: int
) -> Child:
    """A child in the container's PID namespace, where it has one, and from birth in the open cgroup directory.

    processors: on which the process that bears it runs, and so the child, as far as the cgroup lets it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def enter() -> int | None:
        set_affinity(0, processors)
        if pid_namespace:
            process.enter_namespaces(container, c.CLONE_NEWPID)
        return cgroup

    try:
        return Child(_bear_sibling(enter, 0, theirs, preserved), ours)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def _bear_sibling(enter: Callable[[], int | None], flags: int, channel: socket.socket, preserved: int) -> int:
    """By way of a process that calls `enter`, which answers with the cgroup directory to be born in."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        between, pidfd = process.clone(0)
        if between == 0:
            _have_sibling(enter, flags, channel, writing, preserved)
        os.close(pidfd)
        os.waitpid(between, 0)
        os.set_blocking(reading, False)
        answer = plainjson.loads(os.read(reading, 4096) or b'{"text": "the process between was killed"}')
    finally:
        os.close(reading)
        os.close(writing)
    if "pid" not in answer:
        raise SetupFailed("make the container's process", answer["text"])
    pid: int = answer["pid"]
    return pid


def _have_sibling(
    enter: Callable[[], int | None], flags: int, channel: socket.socket, writing: int, preserved: int
) -> None:
    """In the process between. Never returns."""
    try:
        OPERATIONS["out-of-reach"](None)  # nobody inside may trace the new one: CVE-2016-9962
        pid = process.clone_sibling(enter(), flags)
        if pid == 0:
            _become_stage(channel, preserved)
        os.write(writing, plainjson.dumps({"pid": pid}).encode())
    except BaseException as error:
        text = str(error) if isinstance(error, SetupFailed) else stage.sentence(error)
        os.write(writing, plainjson.dumps({"text": text}).encode())
    finally:
        os._exit(0)


def _enter(entered: Iterable[tuple[str, int]], time_offsets: str, *, time: bool) -> None:
    if time:
        process.unshare(c.CLONE_NEWTIME)
        if time_offsets:
            _write("/proc/self/timens_offsets", time_offsets)
    for kind, descriptor in entered:
        try:
            process.enter_namespaces(descriptor, spaces.FLAGS[kind])
        except OSError as error:
            raise spaces.explain(kind, error) from error


def _become_stage(channel: socket.socket, preserved: int) -> None:
    """In the child: what it keeps lies above the descriptors that the payload inherits. Never returns."""
    try:
        sys.meta_path.clear()  # what is not loaded by now would be looked for among the container's files
        kept = os.dup2(channel.fileno(), max(LISTENER_FD, 3 + preserved), inheritable=False)
        process.close_on_exec(3 + preserved)
        _close_between(3 + preserved, kept)
        stage.run(socket.socket(fileno=kept), OPERATIONS)
    finally:
        os._exit(stage.EXIT_SETUP_FAILED)


def _close_between(first: int, kept: int) -> None:
    os.closerange(first, kept)
    os.closerange(kept + 1, 1 << 16)


def write_maps(pid: int, maps: Maps) -> None:
    """Only a process outside of the new user namespace may, user_namespaces(7)."""
    for name, text in (("uid_map", maps.uids), ("gid_map", maps.gids)):
        try:
            _write(f"/proc/{pid}/{name}", text)
        except OSError as error:
            raise SetupFailed(f"write the container's {name}", f"{error.strerror}: {text!r}") from error


def set_affinity(pid: int, processors: tuple[int, ...]) -> None:
    if not processors:
        return
    try:
        os.sched_setaffinity(pid, processors)
    except OSError as error:
        listed = ",".join(map(str, processors))
        raise SetupFailed(f"set the affinity to processors {listed}", error.strerror) from error


def set_oom_score(pid: int, score: int) -> None:
    try:
        _write(f"/proc/{pid}/oom_score_adj", str(score))
    except OSError as error:
        raise SetupFailed(f"set oomScoreAdj {score}", error.strerror) from error


def raise_limits(pid: int, limits: Iterable[tuple[str, int, int]]) -> None:
    """prlimit(2) from outside: inside a user namespace a hard limit can only be lowered, which the last step does."""
    for name, _, hard in limits:
        number = getattr(resource, f"RLIMIT_{name}")
        soft_now, hard_now = resource.prlimit(pid, number)
        wanted = resource.RLIM_INFINITY if hard >= programs.UNLIMITED else hard
        if hard_now == resource.RLIM_INFINITY or hard_now >= wanted != resource.RLIM_INFINITY:
            continue
        try:
            resource.prlimit(pid, number, (soft_now, wanted))
        except OSError as error:
            raise SetupFailed(f"raise RLIMIT_{name} to {hard}", error.strerror) from error


def user_namespace(maps: Maps) -> int:
    """One with nobody in it: what an idmapped mount takes."""
    pid, pidfd = process.clone(c.CLONE_NEWUSER)
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        write_maps(pid, maps)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        os.waitpid(pid, 0)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
