# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl port: show, publish and take back ports of a container, also while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import CONTAINER, PROPERTIES, Call
from ..failures import Failure, UsageError
from ..formats import JSON
from ..names import call_on
from ..networking import PROTOCOLS, published
from ..output import put, to_json
from ..parser import Option, Verb
from ..ports import at, line, outside, port_of

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments
    from ..ports import Port

FIELDS = ("Protocol", "Address", "HostPort", "ContainerPort", "Count")


def inside(text: str) -> tuple[int, str]:
    """PORT[/PROTOCOL] of the container, as docker's `port NAME 80`."""
    port, slash, protocol = text.partition("/")
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or (slash and protocol not in PROTOCOLS):
        raise UsageError(f"{text[:80]!r} is not a port of the container, as 80 or 53/udp")
    return int(port), protocol or PROTOCOLS[0]


def taken_back(flag: str, text: str) -> tuple[str, str]:
    """HOST[/PROTOCOL] as host port and protocol; a range goes by its first port."""
    port, slash, protocol = text.partition("/")
    if not (port.isascii() and port.isdigit()) or (slash and protocol not in PROTOCOLS):
        raise UsageError(f"{flag} {text[:80]!r} is not a port of the host, as 8080 or 53/udp")
    return port, protocol or PROTOCOLS[0]


VERB = Verb(
    usage="[OPTION...] NAME [PORT[/PROTO]]",
    options=(
        Option(("-p", "--publish"), "one more", value="[IP:]HOST:CTR[/PROTO]", convert=published, repeat=True),
        Option(("--unpublish",), "one less, by the host's port", value="HOST[/PROTO]", convert=taken_back, repeat=True),
        JSON,
    ),
    notes="Shows what is published then; with PORT, where that one of the container is answered.\n"
    "No restart is needed, and connections that are open go on.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) not in (1, 2):
        raise UsageError(f"port takes one name, and perhaps a port, but got {len(arguments.operands)} words")
    name, *one = arguments.operands
    wanted = inside(one[0]) if one else None
    if "unpublish" in arguments.options:
        known = ports_of(name, client)
        gone = [port for wanted in arguments.options["unpublish"] for port in find(known, *wanted)]
        call_on(client, name, Call("", CONTAINER, "Unpublish", "a(ssqqq)t", gone, 0))
    if "publish" in arguments.options:
        call_on(client, name, Call("", CONTAINER, "Publish", "a(ssqqq)t", arguments.options["publish"], 0))
    published_now, style = ports_of(name, client), arguments.get("json", "off")
    if wanted is None:
        show(published_now, style)
        return 0
    chosen = [port for port in (at(each, *wanted) for each in published_now) if port]
    if not chosen:
        asked = "/".join(map(str, wanted))
        raise Failure(f"{name}: its port {asked} is not published; `mctl port {name}` shows what is", status=1)
    if style == "off":
        put("".join(f"{outside(port)}\n" for port in chosen))
    else:
        show(chosen, style)
    return 0


def show(ports: list[Port], style: str) -> None:
    if style == "off":
        put("".join(f"{line(port)}\n" for port in ports))
    else:
        put(to_json([dict(zip(FIELDS, port, strict=True)) for port in ports], pretty=style == "pretty"))


def ports_of(name: str, client: Client) -> list[Port]:
    ((_, found),) = call_on(client, name, Call("", PROPERTIES, "Get", "ss", CONTAINER, "Ports"))
    return [port_of(each) for each in found]


def find(known: list[Port], port: str, protocol: str) -> list[Port]:
    found = [each for each in known if (str(each[2]), each[0]) == (port, protocol)]
    if not found:
        raise UsageError(f"--unpublish {port}/{protocol}: it is not published; `mctl port NAME` shows what is")
    return found
