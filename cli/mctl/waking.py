# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-wake: what mctl-activate@NAME.service does before and after mctl-relay, as any other client of the service.

`mctl-wake NAME` starts or thaws the container, and writes down for the relay where it is. `mctl-wake --rest NAME`
stops or freezes it, if the relay has ended because nobody called.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from .client import CONTAINER, INFINITY, Call, Client
from .failures import Failure
from .names import path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "destination.json"  # mctld/relaying/destination.py reads it
ALREADY = "org.mctl1.Error.AlreadyRunning"
NOT_PAUSED = "org.mctl1.Error.NotPaused"  # any more
FROZEN, RUNNING = "paused", "running"
OVER = ("created", "exited")
WAYS_TO_REST: dict[str, tuple[Any, ...]] = {"stop": ("Stop", "a{sv}t", {}, 0), "freeze": ("Freeze", "t", 0)}


def wake(client: Client, name: str, directory: str) -> None:
    path = path_of(name)
    found = client.properties(path)
    try:
        client.call(Call(path, CONTAINER, "Thaw" if found["State"] == FROZEN else "Start", "t", 0))
    except Failure as error:
        if error.name not in (ALREADY, NOT_PAUSED):
            raise
    found = client.properties(path)
    if found["State"] not in OVER:  # else whoever waits is told at once
        _write(directory, destination(found))


def destination(found: Mapping[str, Any]) -> dict[str, Any]:
    """From the container's properties."""
    ports = [
        (outside + i, inside + i) for _, _, outside, inside, count in found["ActivatedPorts"] for i in range(count)
    ]
    idle = found["IdleUSec"]
    return {
        "address": found["Addresses"][0][1],
        "ports": ports,
        "idle": None if idle == INFINITY else idle / 1_000_000,
    }


def rest(client: Client, name: str) -> None:
    path = path_of(name)
    found = client.properties(path)
    if found["State"] == RUNNING:
        member, signature, *body = WAYS_TO_REST[found["IdleAction"]]
        client.call(Call(path, CONTAINER, member, signature, *body))


def is_idle(environment: Mapping[str, str]) -> bool:
    """Of ExecStopPost=, systemd.exec(5)."""
    return environment.get("EXIT_CODE") == "exited" and environment.get("EXIT_STATUS") == "0"


def _write(directory: str, found: Mapping[str, Any]) -> None:
    """The directory is new with each start, but the relay's own: as root we follow no link that lies there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(f"{directory}/{FILE}", flags, 0o644), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)  # whatever the umask
        json.dump(found, file)


def main(argv: list[str]) -> int:
    try:
        with Client(ask_password=False) as client:
            match argv[1:]:
                case ["--rest", name]:
                    if is_idle(os.environ):
                        rest(client, name)
                case [name]:
                    wake(client, name, os.environ["RUNTIME_DIRECTORY"])
    except Failure as error:
        print(error, file=sys.stderr)
        return 1
    return 0
