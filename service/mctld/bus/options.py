# SPDX-License-Identifier: GPL-3.0-or-later
"""Dictionaries of options to validated values. What is not understood is refused: silence would be a security bug."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import machine, reach, security
from ..activation import Activation
from ..bounds import check_range, shown
from ..change import Change
from ..errors import InvalidArgs
from ..execution import Execution
from ..health import HealthCheck
from ..lifecycle.logs import EventQuery, LogQuery
from ..limits import Limits, rates
from ..mounts import Bind, Tmpfs
from ..networking import Fixed, Networking, check_address, check_address6, check_aliases
from ..ports import Port, check_ports
from ..restart import RestartPolicy
from ..security import Security
from ..spec import Spec, User, check_name, check_new_labels
from ..volume import VolumeMount
from .contract import snake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbus_next.signature import Variant

    from ..device import Device
    from ..image import ImageRoot
    from ..mounts import HostPath
    from ..spec import Rootfs

ATTACH = 1
NAMES_MAX = 256  # of which events are asked for in one call
EVERYONE = 1
FORCE = 1
VOLUMES = 2  # of Container.Remove

LIMITS = {
    "MemoryMax": "t", "MemoryHigh": "t", "MemoryLow": "t", "MemorySwapMax": "t", "OOMGroup": "b",
    "CPUQuotaPerSecUSec": "t", "CPUQuotaPeriodUSec": "t", "CPUWeight": "t", "CPUSet": "s", "CPUSetMems": "s",
    "TasksMax": "t", "IOWeight": "t", "IOReadBandwidthMax": "a{st}", "IOWriteBandwidthMax": "a{st}",
    "IOReadIOPSMax": "a{st}", "IOWriteIOPSMax": "a{st}", "HugeTLBMax": "a{st}",
    "IPAddressAllow": "as", "IPAddressDeny": "as", "SocketBindDeny": "as",
}  # fmt: skip
_PLAIN = {
    "WorkingDirectory": "s", "Hostname": "s", "StopSignal": "i", "TimeoutStopUSec": "t", "AutoRemove": "b",
    "ReadOnly": "b", "ShmSize": "t", "Init": "b", "Terminal": "b", "SdNotify": "s",
    "Machine": "b",
}  # fmt: skip
_SECURITY = {"Seccomp": "s", "NoNewPrivileges": "b", "UserNamespace": "s", "OOMScoreAdjust": "i"}
UPDATE = {**LIMITS, "RestartPolicy": "s", "Rlimits": "a{s(tt)}", "Devices": "a(hss)", "TakenDevices": "as"}
_HEALTH = {
    "HealthCommand": "as", "HealthIntervalUSec": "t", "HealthTimeoutUSec": "t", "HealthRetries": "u",
    "HealthStartPeriodUSec": "t", "HealthOnFailure": "s",
}  # fmt: skip
CREATION = {
    "Rootfs": "h", "Image": "s", "Entrypoint": "as", "Command": "as", "Environment": "as", "User": "s",
    "Labels": "a{ss}", **_PLAIN, **LIMITS,
    "Networks": "as", "Address": "s", "Address6": "s", "Ports": "a(ssqqq)",
    "AddCapabilities": "as", "DropCapabilities": "as", "Unmask": "as", "Rlimits": "a{s(tt)}", "Sysctls": "a{ss}",
    **_SECURITY, "Mounts": "a(hss)", "Devices": "a(hss)", "Tmpfs": "a{ss}", "Hosts": "a{ss}", "NameServers": "as",
    "SearchDomains": "as", "NetworkAliases": "as", "HostNetwork": "b", "NetworkContainer": "s",
    "Volumes": "a(sss)", "RestartPolicy": "s", "Credentials": "a(sh)", **_HEALTH,
    "ActivatedPorts": "a(ssqqq)", "IdleUSec": "t", "IdleAction": "s",
}  # fmt: skip
START = {"Stdin": "h", "TerminalSize": "(qq)"}
RUN = {**CREATION, **START}
STOP = {"TimeoutUSec": "t"}
EXEC = {"User": "s", "WorkingDirectory": "s", "Environment": "as", "Terminal": "b", **START}
CONNECT = {"Address": "s", "Address6": "s", "Aliases": "as"}
NETWORK = {
    "Subnet": "s", "Internal": "b", "Driver": "s", "Parent": "s", "Mode": "s", "Subnet6": "s", "Gateway": "s",
    "Gateway6": "s", "AddressRange": "s", "Shared": "b", "MTU": "t",
}  # fmt: skip
EVENTS = {"Follow": "b", "Lines": "t", "Since": "t", "Until": "t", "Names": "as"}
LOG = {
    "Follow": "b", "Lines": "t", "Since": "t", "Until": "t", "Output": "s", "Priority": "u", "Broken": "b",
    "AfterCursor": "s", "Fields": "as",
}  # fmt: skip
FOLLOWED_LOG = {key: kind for key, kind in LOG.items() if key != "Follow"}
OUTPUTS = (
    "cat", "short", "short-full", "short-iso", "short-iso-precise", "short-precise", "short-monotonic", "short-unix",
    "with-unit", "verbose", "json", "json-pretty", "json-sse", "json-seq", "export",
)  # fmt: skip
_CURSOR = re.compile(r"[0-9a-z=;]{1,256}", re.ASCII)
_FIELD = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)
FIELDS_MAX = 32

_WORDS = {
    "s": "a string", "b": "a boolean", "i": "a 32-bit integer", "u": "an unsigned 32-bit integer",
    "t": "an unsigned 64-bit integer", "as": "an array of strings", "h": "a file descriptor",
    "a{ss}": "a dictionary of strings", "a{st}": "a dictionary of strings to unsigned 64-bit integers",
    "a{s(tt)}": "a dictionary of pairs of unsigned 64-bit integers",
    "a(sh)": "an array of a name and a file descriptor",
    "a(sss)": "an array of name, path inside and options",
    "a(ssqqq)": "an array of protocol, address, host port, container port and count",
    "a(hss)": "an array of a file descriptor and two strings",
    "(qq)": "a pair of unsigned 16-bit integers",
}  # fmt: skip


def parse(options: Mapping[str, Variant], known: Mapping[str, str]) -> dict[str, Any]:
    """The plain values of the options, each of exactly the declared type."""
    values: dict[str, Any] = {}
    for key, variant in options.items():
        if key not in known:
            raise InvalidArgs(f"option {shown(key)} is not known; known are {', '.join(sorted(known))}")
        expected = known[key]
        if variant.signature != expected:
            given = _WORDS.get(variant.signature, "another type")
            raise InvalidArgs(
                f"option {key} must be {_WORDS[expected]} (type {expected}), "
                f"but {given} (type {variant.signature}) was given"
            )
        values[key] = variant.value
    return values


def check_flags(flags: int, known: Mapping[int, str]) -> int:
    unknown = flags & ~sum(known)
    if unknown:
        names = ", ".join(f"{bit} ({name})" for bit, name in known.items()) or "none: pass 0"
        raise InvalidArgs(f"flags {unknown:#x} are not known; known are {names}")
    return flags


def spec(
    name: str,
    values: Mapping[str, Any],
    rootfs: Rootfs | ImageRoot,
    sources: Sequence[HostPath] = (),
    devices: Sequence[Device] = (),
) -> Spec:
    """From parsed CREATION options; `sources` and `devices` are what the descriptors of those hold, in order."""
    plain = {snake(key): values[key] for key in _PLAIN if key in values}
    if values.get("Machine"):
        plain.setdefault("stop_signal", machine.STOP_SIGNAL)
    return Spec(
        name=name,
        rootfs=rootfs,
        command=tuple(values["Command"]),
        environment=tuple(values.get("Environment", ())),
        user=User.parse(values.get("User", "0:0")),
        labels=check_new_labels(tuple(sorted(values.get("Labels", {}).items()))),
        limits=Limits().changed(limit_changes(values)),
        networking=_networking(values),
        activation=_activation(values),
        security=_security(values),
        binds=tuple(
            Bind.parse(source, target, given)
            for source, (_, target, given) in zip(sources, values.get("Mounts", ()), strict=True)
        ),
        volumes=tuple(VolumeMount.parse(*words) for words in values.get("Volumes", ())),
        tmpfs=tuple(Tmpfs.parse(target, given) for target, given in sorted(values.get("Tmpfs", {}).items())),
        hosts=tuple(sorted(values.get("Hosts", {}).items())),
        name_servers=tuple(values.get("NameServers", ())),
        search_domains=tuple(values.get("SearchDomains", ())),
        devices=tuple(devices),
        restart=RestartPolicy.parse(values.get("RestartPolicy", "no")),
        health=_health(values),
        credentials=tuple(name for name, _ in values.get("Credentials", ())),
        **{"hostname": name, **plain},
    )


def execution(command: Sequence[str], values: Mapping[str, Any]) -> Execution:
    """From parsed EXEC options."""
    return Execution(
        command=tuple(command),
        environment=tuple(values.get("Environment", ())),
        user=User.parse(values["User"]) if "User" in values else None,
        working_directory=values.get("WorkingDirectory"),
        terminal=values.get("Terminal", False),
        window=terminal_size(values),
    )


def required(values: Mapping[str, Any], *keys: str) -> None:
    for key in keys:
        if key not in values:
            raise InvalidArgs(f"option {key} is missing: it is required")


def log_query(values: Mapping[str, Any]) -> LogQuery:
    """From parsed LOG options."""
    output = values.get("Output", "cat")
    if output not in OUTPUTS:
        raise InvalidArgs(f"option Output {shown(output)} is not known; known are {', '.join(OUTPUTS)}")
    return LogQuery(
        follow=values.get("Follow", False),
        lines=values.get("Lines"),
        since_usec=values.get("Since"),
        until_usec=values.get("Until"),
        output=output,
        priority=_priority(values),
        broken=values.get("Broken", False),
        after_cursor=_cursor(values.get("AfterCursor", "")),
        fields=_fields(values.get("Fields", ())),
    )


def _priority(values: Mapping[str, Any]) -> int | None:
    return check_range("Priority", values["Priority"], 0, 7) if "Priority" in values else None


def _cursor(text: str) -> str:
    if text and not _CURSOR.fullmatch(text):
        raise InvalidArgs(f"option AfterCursor {shown(text)} is not a cursor of the journal, as in its field __CURSOR")
    return text


def _fields(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > FIELDS_MAX:
        raise InvalidArgs(f"option Fields has {len(names)} entries: the most is {FIELDS_MAX}")
    for name in names:
        if not _FIELD.fullmatch(name):
            raise InvalidArgs(f"option Fields {shown(name)} is not a field of the journal: use A-Z, 0-9 and _")
    return tuple(names)


def event_query(values: Mapping[str, Any]) -> EventQuery:
    """From parsed EVENTS options, for everybody's containers."""
    names = tuple(check_name(name) for name in values.get("Names", ()))
    if len(names) > NAMES_MAX:
        raise InvalidArgs(f"Names has {len(names)} entries: the most is {NAMES_MAX}")
    given = {key: value for key, value in values.items() if key != "Names"}
    return EventQuery(log_query({**given, "Output": "json"}), names=names)


def terminal_size(values: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns, from parsed START options; 0 is not known."""
    rows, columns = values.get("TerminalSize", (0, 0))
    return rows, columns


def check_signal(number: int) -> int:
    return check_range("signal", number, 1, 64)


def connection(given: Mapping[str, Variant]) -> tuple[Fixed, tuple[str, ...]]:
    """Fixed addresses and more names there, from CONNECT options."""
    values = parse(given, CONNECT)
    return _fixed(values), check_aliases("Aliases", tuple(values.get("Aliases", ())))


def _fixed(values: Mapping[str, Any]) -> Fixed:
    """From parsed options, each address as it is written."""
    text, text6 = values.get("Address", ""), values.get("Address6", "")
    return Fixed(
        str(check_address("Address", text)) if text else "", str(check_address6("Address6", text6)) if text6 else ""
    )


def ports(given: Sequence[Sequence[Any]]) -> tuple[Port, ...]:
    found = tuple(Port(*port) for port in given)
    check_ports(found)
    return found


def _networking(values: Mapping[str, Any]) -> Networking:
    fixed = _fixed(values)
    given: dict[str, Any] = {"address": fixed.address, "address6": fixed.address6}
    given["ports"] = ports(values.get("Ports", ()))
    given["aliases"] = tuple(values.get("NetworkAliases", ()))
    if values.get("HostNetwork", False):
        given |= {"host": True, "networks": ()}
    if values.get("NetworkContainer", ""):
        given |= {"container": values["NetworkContainer"], "networks": ()}
    if "Networks" in values:
        given["networks"] = tuple(values["Networks"])
    return Networking(**given)


def _activation(values: Mapping[str, Any]) -> Activation:
    keys = {"IdleUSec": "idle_usec", "IdleAction": "on_idle"}
    given = {field: values[key] for key, field in keys.items() if key in values}
    return Activation(ports(values.get("ActivatedPorts", ())), **given)


def _health(values: Mapping[str, Any]) -> HealthCheck:
    given = {snake(key).removeprefix("health_"): values[key] for key in _HEALTH if key in values}
    return HealthCheck(**{**given, "command": tuple(given.get("command", ()))})


def _security(values: Mapping[str, Any]) -> Security:
    added, dropped = values.get("AddCapabilities", ()), values.get("DropCapabilities", ())
    plain = {snake(key): values[key] for key in _SECURITY if key in values}
    return Security(
        capabilities=security.keep_set(added, dropped),
        ambient=security.named(name for name in added if name.upper() != security.EVERYTHING),
        unmask=tuple(values.get("Unmask", ())),
        rlimits=_rlimits(values),
        sysctls=tuple(sorted(values.get("Sysctls", {}).items())),
        **plain,
    )


def _rlimits(values: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    return tuple(sorted((name.upper(), soft, hard) for name, (soft, hard) in values.get("Rlimits", {}).items()))


def change(values: Mapping[str, Any], devices: Sequence[Device] = ()) -> Change:
    """From parsed UPDATE options; `devices` are what the descriptors of those hold, in order."""
    return Change(
        limits=limit_changes(values),
        restart=RestartPolicy.parse(values["RestartPolicy"]) if "RestartPolicy" in values else None,
        rlimits=_rlimits(values),
        devices=tuple(devices),
        taken=tuple(values.get("TakenDevices", ())),
    )


def limit_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of Limits, from parsed LIMITS options."""
    given = {key: values[key] for key in LIMITS if key in values}
    return {snake(key): _limit(key, value) for key, value in given.items()}


def _limit(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return rates(value)
    if isinstance(value, list):
        return reach.subnets(key, value) if key.startswith("IPAddress") else reach.ranges(value)
    return value
