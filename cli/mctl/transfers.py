# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from registries and to them: the service's job, watched from here. An interruption cancels it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .client import JOB, PROPERTIES, Call, unwrapped
from .credentials import authentication
from .failures import Failure
from .output import write_all
from .sizes import readable

if TYPE_CHECKING:
    from .client import Client
    from .parser import Arguments

LOOK = 200  # milliseconds between two looks at a job that somebody watches


def access_options(arguments: Arguments, reference: str) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = {}
    descriptor = authentication(arguments, reference)
    if descriptor is not None:
        found["Authentication"] = ("h", descriptor)
    if arguments.options.get("tls_verify") is False:
        found["VerifyTLS"] = ("b", False)
    return found


def pull(arguments: Arguments, client: Client, reference: str) -> str:
    """The image's id."""
    options = access_options(arguments, reference)
    if "platform" in arguments.options:
        options["Platform"] = ("s", arguments.options["platform"])
    if arguments.get("private"):
        options["Private"] = ("b", True)
    _, identity, _ = job(arguments, client, options, "PullImage", "sa{sv}t", reference)
    return str(identity)


def push(arguments: Arguments, client: Client, image: str, reference: str) -> str:
    """The manifest's digest."""
    options = access_options(arguments, reference)
    _, _, digest = job(arguments, client, options, "PushImage", "ssa{sv}t", image, reference)
    return str(digest)


def job(
    arguments: Arguments, client: Client, options: dict[str, tuple[str, Any]], member: str, signature: str, *names: str
) -> tuple[Any, ...]:
    try:
        (path,) = client.manager(member, signature, *names, options, 0)
    finally:
        if "Authentication" in options:
            os.close(options["Authentication"][1])
    watching = os.isatty(2) and not arguments.get("quiet")
    try:
        return finished(client, path, names[-1], watching=watching)
    except KeyboardInterrupt:
        client.call(Call(path, JOB, "Cancel", "t", 0))
        raise


def finished(client: Client, path: str, reference: str, *, watching: bool) -> tuple[Any, ...]:
    waiting = Call(path, JOB, "Wait")
    if not watching:
        return client.call(waiting)
    import select

    client.send(waiting)
    poller = select.poll()
    poller.register(client.fileno(), select.POLLIN)
    try:
        while (reply := client.arrived(waiting)) is None:
            if not poller.poll(LOOK):
                show(reference, look(client, path))
    finally:
        write_all(2, b"\r\x1b[K")
    return reply


def look(client: Client, path: str) -> dict[str, Any]:
    try:
        return unwrapped(client.call(Call(path, PROPERTIES, "GetAll", "s", JOB))[0])
    except Failure:  # what became of it Wait will tell
        return {}


def show(reference: str, found: dict[str, Any]) -> None:
    if found:
        write_all(2, f"\r\x1b[K{progress(reference, found)}".encode())


def progress(reference: str, found: dict[str, Any]) -> str:
    done, wanted = found["Layers"]
    if found["State"] == "unpacking":
        return f"{reference}: unpacking, {done} of {wanted} layers"
    return f"{reference}: {found['State']}" + (f", {readable(found['Bytes'])}" if found["Bytes"] else "")
