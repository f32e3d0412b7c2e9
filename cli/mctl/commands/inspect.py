# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl inspect: every property the service publishes, of whatever goes by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, NETWORK, PROPERTIES, VOLUME, Call, unwrapped
from ..failures import FREEDESKTOP, MCTL, NEEDS_PASSWORD, NO_SUCH, Failure, UsageError
from ..formats import JSON, truth
from ..names import call_on, is_name, named, network_path
from ..output import complain, on_terminal, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..template import render

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

ABSENT = (
    *NO_SUCH, NEEDS_PASSWORD, FREEDESKTOP + "AccessDenied", MCTL + "NoSuchImage", MCTL + "NoSuchNetwork",
    MCTL + "NoSuchVolume",
)  # fmt: skip
KINDS = ("container", "image", "network", "volume")  # in this order, as docker looks for them


def kind(flag: str, text: str) -> str:
    if text not in KINDS:
        raise UsageError(f"{flag} {text[:80]!r} is not known: give one of {', '.join(KINDS)}")
    return text


VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-f", "--format"), "a template in place of JSON, as '{{.MainPID}}'", value="TEMPLATE"),
        Option(("--pretty",), "false: one line a container", value="true|false", convert=truth, implied="true"),
        Option(("--type",), f"only one of {', '.join(KINDS)}", value="KIND", convert=kind),
        JSON,
    ),
    notes="Prints one JSON object a name. null stands for no limit; times are microseconds since the epoch.\n"
    "A name may be a container's, else an image's, a network's or a volume's.",
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("no container was named; `mctl ps -a` lists them")
    status, found = 0, []
    for name in arguments.operands:
        try:
            properties = known(client, name, arguments.get("type", ""))
        except Failure as error:
            complain(named(name, error))
            status = 1
        else:
            found.append(shown(properties, arguments))
    put_long("".join(found), arguments)
    return status


def known(client: Client, name: str, wanted: str) -> dict[str, Any]:
    """Nobody is asked for a password on the way: what is somebody else's container may be an image of one's own."""
    if wanted:
        return LOOK[wanted](client, name)
    for each in KINDS:
        with client.unasked():
            try:
                return LOOK[each](client, name)
            except Failure as error:
                if error.name not in ABSENT:
                    raise
    try:
        return container(client, name)
    except Failure as error:
        if error.name not in NO_SUCH:
            raise
        sentence = str(error).replace("no container", f"no {', '.join(KINDS[:-1])} or {KINDS[-1]}", 1)
        raise Failure(sentence, status=client.failure_status, name=error.name) from None


def container(client: Client, name: str) -> dict[str, Any]:
    return unwrapped(call_on(client, name, Call("", PROPERTIES, "GetAll", "s", CONTAINER))[0])


def image(client: Client, name: str) -> dict[str, Any]:
    from .. import images

    return images.properties(client, images.path_of(client, name))


def network(client: Client, name: str) -> dict[str, Any]:
    if not is_name(name):
        raise Failure(f"there is no network {name[:80]!r}", status=client.failure_status, name=NO_SUCH[0])
    return unwrapped(client.call(Call(network_path(name), PROPERTIES, "GetAll", "s", NETWORK))[0])


def volume(client: Client, name: str) -> dict[str, Any]:
    (path,) = client.manager("GetVolume", "s", name)
    return unwrapped(client.call(Call(path, PROPERTIES, "GetAll", "s", VOLUME))[0])


LOOK = {"container": container, "image": image, "network": network, "volume": volume}


def shown(container: dict[str, object], arguments: Arguments) -> str:
    template = arguments.get("format", "json")
    if template != "json":
        return on_terminal(render(template, container))
    pretty = arguments.get("pretty", arguments.get("json", "pretty") != "short")
    return to_json(container, pretty=pretty)
