# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller's own profile: linux.seccomp of the OCI runtime specification, and the files of docker and podman.

https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp; docker's and podman's files have
besides archMap, name, comment, includes, excludes and errno. Names of calls that this host's libseccomp does not know
are left out, as everywhere: a profile may be newer than the host. Everything else is understood or refused.
"""

from __future__ import annotations

import errno
import re
from collections import Counter
from typing import TYPE_CHECKING

from . import document
from .profile import (
    ALLOW,
    ERRNO_MAX,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    NOTIFY,
    TRAP,
    Condition,
    Profile,
    Rule,
    errno_action,
    runs,
    trace_action,
)  # fmt: skip

if TYPE_CHECKING:
    from .document import Value

_CALL = re.compile(r"[a-zA-Z0-9_]{1,64}", re.ASCII)
_KERNEL = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)

HANDING_OVER = "sendmsg"
_ERRNO, _TRACE = "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"
_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
}
_OPERATORS = {f"SCMP_CMP_{name}": name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")}
_TOKENS = {
    f"SCMP_ARCH_{name}": name
    for name in (
        "NATIVE", "X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32",
        "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PARISC", "PARISC64", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390",
        "S390X", "SH", "SHEB",
    )
}  # fmt: skip
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # docker's names, where they differ from uname(2)'s


class Host:
    """What includes and excludes ask about."""

    def __init__(self, capabilities: frozenset[str], machine: str, release: str, *, notify: bool) -> None:
        self.notify = notify
        self.capabilities = capabilities
        self.machine = machine
        self.kernel = _version(release)


def _version(release: str) -> tuple[int, int]:
    found = _KERNEL.match(release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def profile(
    text: str, capabilities: frozenset[str], machine: str, release: str, *, notify: bool = False
) -> Profile:
    """InvalidArgs names the place, the value and what it may be. release: the kernel's, as uname(2) has it.

    notify: somebody hands the filter's listener to a process that answers, and loads the filter with its flags.
    """
    whole = document.read(text)
    members = whole.object(
        "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags", "listenerPath",
        "listenerMetadata", "syscalls",
    )  # fmt: skip
    if not notify:
        _check_flags(members)
    host = Host(capabilities, machine, release, notify=notify)
    return Profile(
        architectures=_architectures(members, machine),
        default=_action(members["defaultAction"], members["defaultErrno"], members["defaultErrnoRet"]),
        foreign=KILL_THREAD,  # libseccomp's default, as with runc and crun
        rules=tuple(rule for call in members["syscalls"].list() for rule in _rules(call, host)),
        newer_enosys=True,
    )


def _check_flags(members: dict[str, Value]) -> None:
    for flag in members["flags"].list():
        if flag.text() != "SECCOMP_FILTER_FLAG_TSYNC":  # there is one thread
            raise flag.error("mctl loads filters without flags")
    for key in ("listenerPath", "listenerMetadata"):
        if members[key].given:
            raise members[key].error("mctl has no process that answers for SCMP_ACT_NOTIFY")


def _architectures(members: dict[str, Value], machine: str) -> tuple[str, ...]:
    """The native one, and of those named the ones that this machine runs: no call can come from another."""
    listed, mapped = members["architectures"], members["archMap"]
    if listed.given and mapped.given:
        raise mapped.error("architectures is there too: give one of them")
    named = {token.choice(_TOKENS) for token in listed.list()}
    native = runs(machine)
    for entry in mapped.list():
        pair = entry.object("architecture", "subArchitectures")
        subordinate = {token.choice(_TOKENS) for token in pair["subArchitectures"].list()}
        if pair["architecture"].choice(_TOKENS) == native[0]:
            named |= subordinate
    return (native[0], *(name for name in native[1:] if name in named))


def _action(action: Value, name: Value, number: Value, *, notify: bool = False) -> int:
    """name: of an errno, podman's way; number: of an errno, or a tracer's message."""
    kind = action.text()
    if kind == "SCMP_ACT_NOTIFY" and notify:
        return NOTIFY
    if kind == "SCMP_ACT_NOTIFY":
        raise action.error("mctl has no process that would answer; use SCMP_ACT_ERRNO")
    if kind == _ERRNO:
        return errno_action(_errno(name, number))
    if kind == _TRACE:
        return trace_action(number.number(0, 0xFFFE) if number.given else errno.EPERM)
    for value in (name, number):
        if value.given:
            raise value.error(f"{kind} returns no errno")
    return action.choice({**_ACTIONS, _ERRNO: 0, _TRACE: 0})


def _errno(name: Value, number: Value) -> int:
    given = number.number(0, ERRNO_MAX) if number.given else errno.EPERM
    if not name.given or not name.text():
        return given
    if name.text().isascii() and name.text().isdecimal():
        return min(int(name.text()), ERRNO_MAX)
    found = getattr(errno, name.text(), None)
    if type(found) is not int:
        raise name.error("it must be the name of an errno, such as EPERM")
    return found


def _rules(call: Value, host: Host) -> list[Rule]:
    members = call.object("names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes")
    names = _names(call, members)
    action = _action(members["action"], members["errno"], members["errnoRet"], notify=host.notify)
    if action == NOTIFY and HANDING_OVER in names:
        raise members["action"].error(f"{HANDING_OVER} hands the listener over, and nobody would answer before")
    conditions = [_condition(argument) for argument in members["args"].list()]
    if members["comment"].given:
        members["comment"].text()
    included, excluded = (_asked(members[key], host) for key in ("includes", "excludes"))
    if not all(included) or any(excluded):
        return []
    indexes = Counter(condition.index for condition in conditions)
    if max(indexes.values(), default=0) > 1:  # runc: conditions on one argument are alternatives
        return [Rule(names, action, (condition,)) for condition in conditions]
    return [Rule(names, action, tuple(conditions))]


def _names(call: Value, members: dict[str, Value]) -> tuple[str, ...]:
    single, many = members["name"], members["names"]
    if single.given and many.given and many.list():
        raise many.error("name is there too: give one of them")
    named = [single] if single.given else many.list()
    if not named:
        raise call.error("it must name a call in names")
    for name in named:
        if not _CALL.fullmatch(name.text()):
            raise name.error("it must be the name of a system call")
    return tuple(dict.fromkeys(name.text() for name in named))


def _condition(argument: Value) -> Condition:
    members = argument.object("index", "value", "valueTwo", "op")
    operator = members["op"].choice(_OPERATORS)
    second = members["valueTwo"].number(0, 2**64 - 1) if members["valueTwo"].given else 0
    return Condition(
        index=members["index"].number(0, 5),
        operator=operator,
        value=members["value"].number(0, 2**64 - 1),
        value_two=second if operator == "MASKED_EQ" else 0,
    )


def _asked(conditions: Value, host: Host) -> list[bool]:
    """Of the capabilities each by itself; one of the architectures is enough."""
    members = conditions.object("caps", "arches", "minKernel")
    answers = [_capability(name) in host.capabilities for name in members["caps"].list()]
    arches = [name.text() for name in members["arches"].list()]
    if arches:
        answers.append(_MACHINES.get(host.machine, host.machine) in arches)
    if members["minKernel"].given and members["minKernel"].text():
        answers.append(host.kernel >= _minimum(members["minKernel"]))
    return answers


def _capability(name: Value) -> str:
    text = name.text()
    if not text.startswith("CAP_"):
        raise name.error("it must be the name of a capability, such as CAP_SYS_ADMIN")
    return text.removeprefix("CAP_")


def _minimum(version: Value) -> tuple[int, int]:
    if not _KERNEL.fullmatch(version.text()):
        raise version.error('it must be a kernel version such as "4.8"')
    return _version(version.text())
