# SPDX-License-Identifier: GPL-3.0-or-later
"""One more process in a container: in its namespaces and its cgroup, bound by what binds the first one."""

from __future__ import annotations

import os

from ..errors import InvalidArgs, NotRunning, SetupFailed
from ..kernel import constants as c
from ..runtime import capabilities
from . import birth, configuration, console, creation, listener, namespaces, plan, process, reading, state, syscalls
from .undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .birth import Child
    from .call import Call
    from .configuration import Configuration
    from .process import Process
    from .state import Entry, Record

SOMETIMES = ("cgroup", "ipc", "network", "mount", "time", "user", "uts")  # that of PIDs is entered by birth


def execute(call: Call, name: str, command: Sequence[str], *, relayed: bool) -> Child:
    """Returns when the command executes. The caller closes what is returned."""
    with state.look(call.root, name) as entry:
        record = entry.record()
        whole = entry.configuration()
        asked = configuration.read(whole, record.bundle)
        wanted = _wanted(call, whole, command)
        console.check(call.options.text("console-socket"), terminal=wanted.terminal, relayed=relayed)
        _check(call, entry, record)
        if wanted.apparmor or wanted.selinux:
            from . import labels

            labels.check(wanted)
        return _enter(call, record, asked, wanted)


def _check(call: Call, entry: Entry, record: Record) -> None:
    now = state.status(entry, record)
    if now not in (state.CREATED, state.RUNNING, state.PAUSED):
        raise NotRunning(f"cannot execute in container {record.id!r}: container not running, it is {now}")
    if now == state.PAUSED and not call.options.flag("ignore-paused"):
        raise NotRunning(f"cannot execute in container {record.id!r}: it is paused: resume it first")


def _wanted(call: Call, whole: reading.Value, command: Sequence[str]) -> Process:
    """From --process, or the container's own with what the other options change."""
    path = call.options.text("process")
    if path:
        if command:
            raise InvalidArgs("--process names the command: there can be no other one after the ID")
        return process.read(reading.read(creation.read_file(path), "process.json"))
    if not command:
        raise InvalidArgs("a command is needed after the container's ID, or --process")
    return process.read(reading.Value(_changed(call, whole["process"].raw(), command), "process"))


def _changed(call: Call, given: dict[str, Any], command: Sequence[str]) -> dict[str, Any]:
    options = call.options
    changed = {**given, "args": list(command), "terminal": options.flag("tty")}
    changed["env"] = [*(given.get("env") or []), *options.many("env")]
    if options.text("cwd"):
        changed["cwd"] = options.text("cwd")
    if options.text("user"):
        uid, _, gid = options.text("user").partition(":")
        changed["user"] = {"uid": _id("user", uid), "gid": _id("user", gid or "0")}
    if options.many("additional-gids"):
        listed = [_id("additional-gids", gid) for gid in options.many("additional-gids")]
        changed["user"] = {**changed.get("user", {}), "additionalGids": listed}
    if options.flag("no-new-privs"):
        changed["noNewPrivileges"] = True
    for option, key in (("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel")):
        if options.text(option):
            changed[key] = options.text(option)
    if options.many("cap"):
        changed["capabilities"] = _more(given.get("capabilities") or {}, options.many("cap"))
    return changed


def _more(given: dict[str, Any], added: list[str]) -> dict[str, Any]:
    """In all sets but the inheritable and the ambient one (CVE-2022-29162)."""
    more = {kind: [*(given.get(kind) or []), *added] for kind in ("bounding", "effective", "permitted")}
    return {**given, **more}


def _id(option: str, text: str) -> int:
    """Plain decimal numbers: what int() takes besides, others read otherwise (CVE-2024-40635)."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise InvalidArgs(f"--{option} {text!r} must be made of numbers")
    return int(text)


def _enter(call: Call, record: Record, asked: Configuration, wanted: Process) -> Child:
    first = state.open_process(record)
    if first is None:
        raise NotRunning(f"cannot execute in container {record.id!r}: container not running")
    preserved = creation.preserved(call.options.number("preserve-fds", 0, creation.PRESERVED_MAX))
    with Undo() as opened:
        opened.callback(os.close, first)
        cgroup = _cgroup(record, opened)
        child = birth.join(
            first, cgroup, processors(wanted.initial_affinity, "initial"),
            pid_namespace=not namespaces.same(str(record.pid), "pid"), preserved=preserved,
        )  # fmt: skip
        on_failure = opened.enter_context(Undo())
        on_failure.callback(child.close)
        on_failure.callback(child.discard)
        _follow(call, record, asked, wanted, child, first)
        on_failure.forget()
        return child


def _cgroup(record: Record, opened: Undo) -> int | None:
    """To be born in: nothing of the new process is ever counted elsewhere."""
    if not record.cgroup:
        return None
    try:
        directory = os.open(record.cgroup, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SetupFailed(f"open the cgroup {record.cgroup}", error.strerror) from error
    opened.callback(os.close, directory)
    return directory


def _follow(call: Call, record: Record, asked: Configuration, wanted: Process, child: Child, first: int) -> None:
    if wanted.oom_score_adjust is not None:
        birth.set_oom_score(child.pid, wanted.oom_score_adjust)
    birth.raise_limits(child.pid, wanted.rlimits)
    birth.set_affinity(child.pid, processors(wanted.final_affinity, "final"))
    entered = [kind for kind in SOMETIMES if not namespaces.same(str(record.pid), kind)]
    flags = sum(namespaces.FLAGS[kind] for kind in entered)
    around = plan.Surroundings(
        last_capability=capabilities.last(),
        state={},
        preserved=call.options.number("preserve-fds", 0, creation.PRESERVED_MAX),
        notified=creation.notified(asked, record, state.RUNNING, child.pid),
        filter_flags=asked.filter_flags,
    )
    steps = plan.for_exec(asked, wanted, flags, around, user_namespace=bool(flags & c.CLONE_NEWUSER))
    descriptors = {"container": first}
    with Undo() as opened:
        if asked.listener:
            descriptors[listener.AGENT] = opened.enter_context(listener.connect(asked.listener)).fileno()
        if asked.seccomp:
            descriptors["seccomp"] = syscalls.open_filter(asked.seccomp, wanted.capabilities.bounding, call.root)
            opened.callback(os.close, descriptors["seccomp"])
        child.follow(steps, descriptors)
        child.await_execution()
    if wanted.terminal and call.options.text("console-socket"):
        console.send(call.options.text("console-socket"), child)
    creation.write_pid(call.options.text("pid-file"), child.pid)


def processors(listed: str, name: str) -> tuple[int, ...]:
    """Of execCPUAffinity; none where nothing is said."""
    if not listed:
        return ()
    from .. import cpuset

    return tuple(sorted(cpuset.parse(f"process.execCPUAffinity.{name}", listed)))
