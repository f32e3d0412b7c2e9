# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from registries and to them: the service's job, watched from here. An interruption cancels it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .client import JOB, MANAGER, PROPERTIES, ROOT, Call, unwrapped
from .credentials import authentication
from .failures import Failure
from .output import write_all
from .sizes import readable

if TYPE_CHECKING:
    from .client import Client
    from .parser import Arguments

LOOK = 200  # milliseconds between two looks at a job that somebody watches
LEAVE = 1000  # milliseconds in which a job that was asked for is waited for, to be cancelled


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
    asked, path = Call(ROOT, MANAGER, member, signature, *names, options, 0), ""
    watching = os.isatty(2) and not arguments.get("quiet")
    try:
        (path,) = client.call(asked)
        return finished(client, path, names[-1], watching=watching)
    except KeyboardInterrupt:
        if path := path or begun(client, asked):
            client.call(Call(path, JOB, "Cancel", "t", 0))
        raise
    finally:
        if "Authentication" in options:
            os.close(options["Authentication"][1])


def begun(client: Client, asked: Call) -> str:
    """The job of a call whose reply nobody waited for, since it goes on without its caller; "" if there is none. While
    somebody is asked for a password there is none: the service lets go of that when its caller leaves the bus.
    """
    import select

    poller = select.poll()
    poller.register(client.fileno(), select.POLLIN)
    try:
        while (reply := client.arrived(asked)) is None:
            if not poller.poll(LEAVE):
                return ""
    except Failure:  # refused: nothing has begun
        return ""
    return str(reply[0])


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
    if said := here(look(client, path)):
        write_all(2, f"{reference}: {said}\n".encode())
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
    size = readable(found["Bytes"]) if found["Bytes"] else ""
    return f"{reference}: {', '.join(part for part in (found['State'], size, here(found)) if part)}"


def here(found: dict[str, Any]) -> str:
    """What nobody waits for."""
    layers = found.get("LayersHere", 0)
    return f"{layers} layer{'s' if layers > 1 else ''} already here" if layers else ""
