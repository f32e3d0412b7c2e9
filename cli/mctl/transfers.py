# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from registries and to them: the service's job, watched from here. An interruption cancels it.

On a terminal a line for each layer is drawn, else one line is told at the end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .client import JOB, MANAGER, PROPERTIES, ROOT, Call, unwrapped
from .credentials import authentication
from .failures import Failure
from .output import write_all
from .overdrawn import Overdrawn
from .sizes import readable

if TYPE_CHECKING:
    from .client import Client
    from .parser import Arguments

LOOK = 200  # milliseconds between two looks at a job that somebody watches
SHORT = 12  # digits of a layer's digest
IN_WORK = ("fetching", "unpacking")
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
    try:
        (path,) = client.call(asked)
        return finished(client, path, names[-1], quiet=bool(arguments.get("quiet")))
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


def finished(client: Client, path: str, reference: str, *, quiet: bool) -> tuple[Any, ...]:
    waiting = Call(path, JOB, "Wait")
    if quiet:
        return client.call(waiting)
    reply = watched(client, path, reference, waiting) if os.isatty(2) else client.call(waiting)
    tell(reference, look(client, path))
    return reply


def watched(client: Client, path: str, reference: str, waiting: Call) -> tuple[Any, ...]:
    import select

    client.send(waiting)
    poller = select.poll()
    poller.register(client.fileno(), select.POLLIN)
    drawn = Overdrawn(2)
    try:
        while (reply := client.arrived(waiting)) is None:
            if not poller.poll(LOOK) and (found := look(client, path)):
                drawn.draw([progress(reference, found), *layers(found)], keep=lambda line: line.split()[1] in IN_WORK)
    finally:
        drawn.clear()
    return reply


def look(client: Client, path: str) -> dict[str, Any]:
    try:
        return unwrapped(client.call(Call(path, PROPERTIES, "GetAll", "s", JOB))[0])
    except Failure:  # what became of it Wait will tell
        return {}


def tell(reference: str, found: dict[str, Any]) -> None:
    if said := outcome(found):
        write_all(2, f"{reference}: {said}\n".encode())


def progress(reference: str, found: dict[str, Any]) -> str:
    done, wanted = found["Layers"]
    if found["State"] == "unpacking":
        return f"{reference}: unpacking, {done} of {wanted} layers"
    size = readable(found["Bytes"]) if found["Bytes"] else ""
    return f"{reference}: {', '.join(part for part in (found['State'], size, here(found)) if part)}"


def layers(found: dict[str, Any]) -> list[str]:
    """A line for each: which, what is done with it, how much of it has come."""
    return [_layer(*layer) for layer in found.get("LayerProgress", ())]


def _layer(digest: str, count: int, size: int, state: str) -> str:
    name, total = digest.partition(":")[2][:SHORT], readable(size)
    much = f"{readable(count)} of {total}" if state == "fetching" else "" if state == "here" else total
    return f"{name}  {'already here' if state == 'here' else state:<9}  {much}".rstrip()


def outcome(found: dict[str, Any]) -> str:
    """What was fetched, and what nobody had to wait for."""
    fetched = [count for _, count, _, state in found.get("LayerProgress", ()) if state != "here"]
    came = f"{counted(len(fetched))} fetched, {readable(sum(fetched))}" if fetched else ""
    return ", ".join(part for part in (came, here(found)) if part)


def here(found: dict[str, Any]) -> str:
    """What nobody waits for."""
    count = found.get("LayersHere", 0)
    return f"{counted(count)} already here" if count else ""


def counted(count: int) -> str:
    return f"{count} layer{'s' if count != 1 else ''}"
