# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the service does not answer, from what everybody may ask the bus and PID 1."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any

from .client import PROPERTIES, Call, unwrapped
from .failures import FREEDESKTOP, MCTL, NEEDS_PASSWORD, SYSTEMD, Failure, failure

if TYPE_CHECKING:
    from .client import Client

Finding = dict[str, Any]  # with the keys of the findings of org.mctl1.Manager.Check

UNIT, UNIT_PATH = "mctld.service", "/org/freedesktop/systemd1/unit/mctld_2eservice"
SOCKET, SOCKET_PATH = "mctl-spawner.socket", "/org/freedesktop/systemd1/unit/mctl_2dspawner_2esocket"
POLICIES = ("/etc/dbus-1/system.d/org.mctl1.conf", "/usr/share/dbus-1/system.d/org.mctl1.conf")
ACTIVATION = "/usr/share/dbus-1/system-services/org.mctl1.service"
SYSTEMD_RUNS = "/run/systemd/system"  # sd_booted(3)

SLICE = 2.0  # seconds between two looks at the unit
SLICES = 20
RESTARTS = 3  # of a service that does not come up: enough to be sure
EX_CONFIG = 78  # mctld gives it up until somebody has looked

REACHED = ("InteractiveAuthorizationRequired", "UnknownMethod", "UnknownInterface", "UnknownObject", "InvalidArgs",
           "LimitsExceeded")  # fmt: skip
REINSTALL = "install the package mctl again"
LOOK = f"systemctl status {UNIT} and journalctl -u {UNIT} say more"


def patient(client: Client, call: Call) -> tuple[Any, ...]:
    """The reply. Not waited for where the service is started over and over, nor for ever."""
    client.send(call)
    poller = select.poll()
    poller.register(client.fileno(), select.POLLIN)
    for _ in range(SLICES):
        reply = taken(client, call)
        if reply is not None:
            return reply
        if not poller.poll(SLICE * 1000) and restarts(unit(client)) >= RESTARTS:
            break
    raise failure(f"{FREEDESKTOP}TimedOut", "", status=client.failure_status)


def taken(client: Client, call: Call) -> tuple[Any, ...] | None:
    """The reply if it is here already."""
    try:
        return client.arrived(call)
    except Failure as refused:
        if refused.name != NEEDS_PASSWORD:
            raise
    return client.call(call)


def explain(client: Client, reason: Failure) -> Finding | None:
    """None where the service was reached, and it is its answer that is the failure."""
    kind = reason.name.removeprefix(FREEDESKTOP)
    if reason.name.startswith(MCTL) or kind in REACHED:
        return None
    if kind in ("NoServer", "AuthFailed"):
        return finding(str(reason), "systemctl start dbus.socket, on the host itself; apt install dbus")
    policy = any(os.path.exists(path) for path in POLICIES)
    if kind == "AccessDenied":
        return None if policy else finding(f"the bus has no policy for it: {POLICIES[-1]} is not there", REINSTALL)
    if not os.path.isdir(SYSTEMD_RUNS):
        return finding("systemd is not what this host was booted with", "use a host whose PID 1 is systemd")
    if unit(client, SOCKET_PATH).get("LoadState") == "masked":
        found = f"{SOCKET}, which {UNIT} needs, is masked: an administrator forbids it to be started"
        return finding(found, f"systemctl unmask {SOCKET}")
    return of_unit(unit(client), reason.text, policy=policy, activatable=os.path.exists(ACTIVATION))


def of_unit(found: dict[str, Any], reason: str, *, policy: bool, activatable: bool) -> Finding:
    """From the properties of mctld.service, as far as they could be had, and the text of the bus's error."""
    load, active = found.get("LoadState", ""), found.get("ActiveState", "")
    if load == "not-found":
        return finding(f"there is no {UNIT}: the service is not installed", "install the package mctl")
    if load == "masked":
        return finding(f"{UNIT} is masked: an administrator forbids it to be started", f"systemctl unmask {UNIT}")
    if load not in ("", "loaded"):
        return finding(f"{UNIT} cannot be loaded ({load})", f"{REINSTALL}; {LOOK}")
    if not policy:
        return finding(f"the bus has no policy for it: {POLICIES[-1]} is not there", REINSTALL)
    if active == "failed" or restarts(found) >= RESTARTS:
        return of_failed(found)
    if active == "active":
        said = f": {reason}" if reason else ""
        return finding(f"{UNIT} runs, but does not answer{said}", f"systemctl restart {UNIT}; {LOOK}")
    if not activatable:
        return finding(f"the bus cannot start it: {ACTIVATION} is not there", f"{REINSTALL}; systemctl start {UNIT}")
    return finding(f"{UNIT} was not started: {reason}", f"systemctl start {UNIT}; {LOOK}")


def of_failed(found: dict[str, Any]) -> Finding:
    status, result = found.get("ExecMainStatus", 0), found.get("Result", "success")
    often = f"{UNIT} does not come up: it was started again {restarts(found)} times" if restarts(found) else ""
    how = f" ({result}, status {status})" if result != "success" else ""
    words = last_words(bytes(found.get("InvocationID", b"")).hex())
    said = f"; its last words: {words}" if words else ""
    remedy = f"journalctl -u {UNIT} says why; when that is mended, systemctl restart {UNIT}"
    if status == EX_CONFIG:
        remedy = f"journalctl -u {UNIT} says what of /var/lib/mctl is to be mended; then systemctl restart {UNIT}"
    return finding(f"{often or f'{UNIT} failed'}{how}{said}", remedy)


def restarts(found: dict[str, Any]) -> int:
    """How often a service that does not come up has been started again; 0 for one that is up."""
    return found.get("NRestarts", 0) if found.get("ActiveState") in ("activating", "failed") else 0


def unit(client: Client, path: str = UNIT_PATH) -> dict[str, Any]:
    """Properties of mctld.service or another unit; none where PID 1 does not tell."""
    found: dict[str, Any] = {}
    for interface in ("Unit", "Service") if path == UNIT_PATH else ("Unit",):
        call = Call(path, PROPERTIES, "GetAll", "s", SYSTEMD + interface, destination=SYSTEMD.rstrip("."))
        try:
            found |= unwrapped(client.call(call)[0])
        except Failure:
            return found
    return found


def last_words(invocation: str) -> str:
    """What that run of the service itself printed last, for those who may read the journal."""
    import subprocess

    words = [
        "journalctl",
        "-q",
        "-n",
        "1",
        "-o",
        "cat",
        f"_SYSTEMD_UNIT={UNIT}",
        f"_SYSTEMD_INVOCATION_ID={invocation}",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def finding(found: str, remedy: str) -> Finding:
    meaning = "No container can be made, and nothing more of the host can be checked; containers that run go on."
    return {"Name": "service", "Verdict": "missing", "Found": found, "Meaning": meaning, "Remedy": remedy}
