# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of a create on one page: a blocked child; its cgroup and its mounts side by side; hooks; then it waits.

Whatever fails, all that was done before is undone in reverse (runtime.md#errors).
"""

from __future__ import annotations

import os
import socket
import time

from ..errors import InvalidArgs, MctlError, SetupFailed
from ..kernel import process as kernel_process
from ..runtime import capabilities
from . import birth, configuration, hooks, listener, plan, readiness, reading, sources, state, syscalls
from .cgroup import home
from .cgroup import place as places
from .inside import waiting
from .undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .birth import Child
    from .call import Call
    from .configuration import Configuration
    from .process import Process
    from .state import Entry, Record

CONFIGURATION_MAX = reading.SIZE_MAX
PRESERVED_MAX = 128


def create(call: Call, name: str, *, relayed: bool) -> Child:
    """The child waits for its start. The caller closes what is returned; its process is nobody's but our parent's."""
    kept = preserved(call.options.number("preserve-fds", 0, PRESERVED_MAX))
    bundle = os.path.abspath(call.options.text("bundle", "."))
    text = read_file(f"{bundle}/{call.options.text('config', 'config.json')}")
    asked = configuration.read(reading.read(text, "config.json"), bundle)
    process = asked.process
    terminal = bool(process and process.terminal)
    if terminal or call.options.text("console-socket"):
        from . import console

        console.check(call.options.text("console-socket"), terminal=terminal, relayed=relayed)
    if asked.mount_label or (process and (process.apparmor or process.selinux)):
        from . import labels

        labels.check(process, asked.mount_label)
    place = places.find(asked.cgroups_path, name, call.manager, user=call.rootless)
    if process:
        _warn(call, process, own_user_namespace=asked.has_user_namespace())
    with Undo() as undo:
        entry = undo.enter_context(state.make(call.root, name))
        on_failure = undo.enter_context(Undo())
        on_failure.callback(entry.remove)
        entry.keep_configuration(text)
        if readiness.is_for_us(asked):
            os.mkdir(entry.announcements, 0o755)
            asked = readiness.extended(asked, entry.announcements)
        child = birth.bear(asked.namespaces, asked.maps, asked.time_offsets, preserved=kept)
        on_failure.callback(child.close)
        on_failure.callback(_leave, entry)
        on_failure.callback(child.discard)
        record = _record(call, asked, entry, child, bundle, place)
        entry.save(record)
        record = _prepare(call, asked, entry, child, record, place)
        _hand_over(call, child, entry, record, terminal=terminal)
        on_failure.forget()
        return child


def _warn(call: Call, process: Process, *, own_user_namespace: bool) -> None:
    """Of capabilities that the command will not have, config.md#linux-process. A new user namespace has them all."""
    sets = process.capabilities
    wanted = dict.fromkeys((*sets.permitted, *sets.effective, *sets.inheritable, *sets.ambient))
    held = kernel_process.permitted_capabilities()
    lacking = [name for name in wanted if not own_user_namespace and not held & capabilities.mask([name])]
    for name in (*process.unknown_capabilities, *lacking):
        call.report.warn(f"the capability {name} cannot be given: it is not known here, or we have it not ourselves")


def preserved(count: int) -> int:
    for number in range(3, 3 + count):
        try:
            os.fstat(number)
        except OSError as error:
            raise InvalidArgs(f"--preserve-fds {count}: descriptor {number} is not open") from error
    return count


def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(CONFIGURATION_MAX + 1)
    except OSError as error:
        raise SetupFailed(f"read {path}", error.strerror) from error


def _record(call: Call, asked: Configuration, entry: Entry, child: Child, bundle: str, place: places.Place) -> Record:
    now = time.time_ns()
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09}Z"
    return state.Record(
        id=entry.name, bundle=bundle, rootfs=asked.root, created=created, owner=os.getuid(), pid=child.pid,
        started=state.started(child.pid), complete=False, manager=place.manager, unit=place.unit, cgroup="",
        rootless=call.rootless, annotations=asked.annotations,
    )  # fmt: skip


def _changed(record: Record, **fields: object) -> Record:
    return state.Record(**{**record.__dict__, **fields})


def _leave(entry: Entry) -> None:
    """The child is gone by then, and its scope with it; a cgroup made by hand is not."""
    try:
        record = entry.record()
        home.leave(record.manager, record.unit, record.cgroup, rootless=record.rootless)
    except (MctlError, OSError):
        return  # the failure that brought us here is the one to tell


def _prepare(
    call: Call, asked: Configuration, entry: Entry, child: Child, record: Record, place: places.Place
) -> Record:
    """To the child's wait for its start."""
    if asked.process and asked.process.oom_score_adjust is not None:
        birth.set_oom_score(child.pid, asked.process.oom_score_adjust)
    with Undo() as opened:
        descriptors = sources.open_all(asked, child, opened)
        descriptors[waiting.LISTENER] = _listen(entry, opened)
        if asked.process and asked.seccomp:
            descriptors["seccomp"] = syscalls.open_filter(asked.seccomp, asked.process.capabilities.bounding, call.root)
            opened.callback(os.close, descriptors["seccomp"])
        if "cgroup" in asked.namespaces.new:
            child.follow(_plan(call, asked, record), descriptors)
        record = _enter_cgroup(call, asked, entry, child, record, place)
        if "cgroup" not in asked.namespaces.new:
            child.follow(_plan(call, asked, record), descriptors)
    child.await_event(waiting.MOUNTED)
    for kind in ("prestart", "createRuntime"):
        hooks.run_all(kind, asked.hooks[kind], state.for_hook(record, state.CREATING))
    if asked.process:
        birth.raise_limits(child.pid, asked.process.rlimits)
    child.open_gate()
    child.await_event(waiting.READY)
    return record


def _enter_cgroup(
    call: Call, asked: Configuration, entry: Entry, child: Child, record: Record, place: places.Place
) -> Record:
    """A child that could not make its mounts has ended meanwhile: then that is what went wrong."""

    def made(directory: str) -> None:
        entry.save(_changed(record, cgroup=directory))

    try:
        directory = home.enter(place, entry.name, child.pid, asked, made, rootless=call.rootless)
        return _changed(record, cgroup=directory)
    except (MctlError, OSError):
        child.raise_pending()
        raise


def notified(asked: Configuration, record: Record, status: str, pid: int = 0) -> str:
    """For the seccomp agent; pid: of another process than the first."""
    if asked.listener is None:
        return ""
    return listener.message(asked.listener, state.for_hook(record, status), pid or record.pid)


def _plan(call: Call, asked: Configuration, record: Record) -> list[plan.Step]:
    around = plan.Surroundings(
        last_capability=capabilities.last(),
        state=state.describe(record, state.CREATING),
        preserved=call.options.number("preserve-fds", 0, PRESERVED_MAX),
        keyring=not call.options.flag("no-new-keyring"),
        pivot=not call.options.flag("no-pivot"),
        cgroup=record.cgroup,
        notified=notified(asked, record, state.CREATING),
        filter_flags=asked.filter_flags,
    )
    return plan.for_creation(asked, around)


def _listen(entry: Entry, opened: Undo) -> int:
    """Bound by a name relative to its directory: the whole path may be longer than an address takes, unix(7)."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    opened.callback(listener.close)
    directory = os.open(entry.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{state.SOCKET}")
    finally:
        os.close(directory)
    listener.listen(1)
    return listener.fileno()


def _hand_over(call: Call, child: Child, entry: Entry, record: Record, *, terminal: bool) -> None:
    path = call.options.text("console-socket")
    if terminal and path:
        from . import console

        console.send(path, child)
    write_pid(call.options.text("pid-file"), child.pid)
    entry.save(_changed(record, complete=True))


def write_pid(path: str, pid: int) -> None:
    """Replaced as a whole: whoever sees it reads a pid."""
    if not path:
        return
    made = f"{os.path.dirname(path) or '.'}/.{os.path.basename(path)}"
    try:
        with open(
            os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "w"
        ) as file:
            file.write(str(pid))
        os.rename(made, path)
    except OSError as error:
        raise SetupFailed(f"write the pid file {path}", error.strerror) from error
