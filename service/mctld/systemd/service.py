# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that starts a container at boot, systemd.service(5), and the file beside it that says what is its own."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

from ..bounds import INFINITY
from ..errors import SetupFailed
from ..restart import ALWAYS, NO, ON_FAILURE
from . import scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..device import Device
    from ..limits import Limits
    from ..restart import RestartPolicy

UNITS = "/etc/systemd/system"
DROP_IN = "50-mctl.conf"  # an administrator's override.conf comes later, and wins
AWAIT = "/usr/libexec/mctl-await"
LEAST_TIMEOUT = "1us"  # 0 would be none, systemd.service(5)
_SAFE = re.compile(r"[A-Za-z0-9_./:+@=,#-]+", re.ASCII)  # no blank, quote, backslash or specifier of systemd.unit(5)
_NAME = re.compile(r"mctl@(.+)\.service\.d", re.ASCII)
_TIMES = {"CPUQuotaPeriodUSec": "CPUQuotaPeriodSec"}


def unit_name(container: str) -> str:
    return f"mctl@{container}.service"


def control_group(container: str, owner_uid: int) -> str:
    """Where it is, unless an administrator has chosen another slice."""
    return f"/mctl.slice/{scope.slice_name(owner_uid)}/{unit_name(container)}"


def drop_in(
    container: str,
    owner_uid: int,
    *,
    limits: Limits,
    devices: Sequence[Device] | None,
    stop_signal: int,
    timeout_stop_usec: int,
    restart: RestartPolicy,
    paths: Iterable[str],
    networked: bool,
    awaited: bool,
    counted: bool,
) -> str:
    """devices: as of scope.device_properties; None: no rules for devices. awaited: started is what is ready.
    counted: its packets, in the cgroup."""
    lines = ["# Written by mctld, and again whenever it changes. Later files here win.", "[Unit]"]
    lines += [f"RequiresMountsFor={path}" for path in sorted(set(map(_plain_part, paths)))]
    lines += ["Wants=network-online.target", "After=network-online.target"] if networked else []
    lines += ["", "[Service]", f"Slice={scope.slice_name(owner_uid)}", f"KillSignal={stop_signal}"]
    lines += [f"TimeoutStopSec={_seconds(timeout_stop_usec)}"]
    lines += [f"ExecStartPost={AWAIT} {container}"] if awaited else []
    lines += ["IPAccounting=yes"] if counted else []
    if restart.policy != NO:  # systemd has no number of tries; at this pace it never gives up by itself
        lines += [f"Restart={ON_FAILURE if restart.policy == ON_FAILURE else ALWAYS}", "RestartSec=2s"]
    properties = scope.limit_properties(limits) + (scope.device_properties(devices) if devices is not None else [])
    for name, variant in properties:
        new = [f"{key}={_checked(container, value)}" for key, value in _assignments(name, variant.value, limits)]
        lines += [line for line in new if line not in lines]
    return "\n".join(lines) + "\n"


def _assignments(name: str, value: Any, limits: Limits) -> Iterator[tuple[str, str]]:
    """A property of the bus as systemd.resource-control(5) writes it."""
    match name, value:
        case ("AllowedCPUs", _):
            yield name, limits.cpu_set
        case ("AllowedMemoryNodes", _):
            yield name, limits.cpu_set_mems
        case ("CPUQuotaPerSecUSec", int(usec)):
            yield "CPUQuota", "" if usec == INFINITY else f"{usec / 10_000:.2f}%"
        case ("IPAddressAllow", _):
            yield name, " ".join(limits.ip_address_allow)
        case ("IPAddressDeny", _):
            yield name, " ".join(limits.ip_address_deny)
        case ("SocketBindDeny", _):
            for ports in limits.socket_bind_deny:
                yield name, ports
        case (_, list(pairs)):
            for path, what in pairs:
                yield name, f"{path} {what}"
        case (_, int(number)) if name in _TIMES:
            yield _TIMES[name], _seconds(number)
        case (_, int(number)):
            yield name, "infinity" if number == INFINITY else str(number)
        case _:
            yield name, str(value)


def _seconds(usec: int) -> str:
    if usec == INFINITY:
        return "infinity"
    return f"{usec}us" if usec else LEAST_TIMEOUT


def _checked(container: str, value: str) -> str:
    """A line break in a unit's file would be root's command."""
    if not all(_SAFE.fullmatch(word.rstrip("%")) for word in value.split(" ")) and value:
        raise SetupFailed(f"write {unit_name(container)}", f"{value!r} has characters that a unit's file cannot hold")
    return value


def _plain_part(path: str) -> str:
    """The path, or as much of its beginning as is a directory that can be written without quoting."""
    while not _SAFE.fullmatch(path):
        path = os.path.dirname(path)
    return path


def drop_in_path(container: str) -> str:
    return f"{UNITS}/{unit_name(container)}.d/{DROP_IN}"


def read_drop_in(container: str) -> str | None:
    try:
        with open(drop_in_path(container), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_drop_in(container: str, text: str) -> None:
    """PID 1 may read at any moment: what it finds is whole."""
    path = drop_in_path(container)
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.chmod(os.path.dirname(path), 0o755)  # whatever our umask: systemctl cat is for everybody
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise SetupFailed(f"write {path}", error.strerror or error) from error


def remove_drop_in(container: str) -> bool:
    """Whether there was one. What an administrator has put beside it stays."""
    path = drop_in_path(container)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SetupFailed(f"remove {path}", error.strerror or error) from error
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))
    return True


def is_enabled(container: str) -> bool:
    """As `systemctl enable` does it for this unit."""
    return os.path.lexists(f"{UNITS}/multi-user.target.wants/{unit_name(container)}")


def written() -> list[str]:
    """Names of containers, present or not, for which there is a file of ours."""
    try:
        found = filter(None, map(_NAME.fullmatch, os.listdir(UNITS)))
    except FileNotFoundError:
        return []
    return [match[1] for match in found if os.path.exists(drop_in_path(match[1]))]
