# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl network: make, list, show and remove networks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, NETWORK, PROPERTIES, Call, unwrapped
from ..failures import Failure, UsageError
from ..formats import JSON
from ..names import call_on, is_name, named, network_path, new_name
from ..networking import ipv4, ipv6, mtu
from ..output import complain, put, table, to_json
from ..pager import put_long
from ..parser import ACTIONS as SYNONYMS
from ..parser import Option, Verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import Client
    from ..parser import Arguments

DEFAULT = "bridge"
HEADS = ("NAME", "DRIVER", "SUBNET", "SUBNET6", "INTERFACE", "OWNER", "CONTAINERS")

VERB = Verb(
    usage="create|ls|inspect|rm|prune|connect|disconnect [OPTION...] [NAME...]",
    options=(
        Option(("--subnet",), "create: addresses, as 10.90.1.0/24; of macvlan also IPv6", value="SUBNET", repeat=True),
        Option(("--internal",), "create: without a way out, or in"),
        Option(("--mtu",), "create: bytes of a packet, if not what gets out of this host", value="BYTES", convert=mtu),
        Option(("-d", "--driver"), "create: bridge, or macvlan on a link of this host", value="DRIVER"),
        Option(("--parent",), "create: macvlan: the interface that is on the link", value="INTERFACE"),
        Option(("--mode",), "create: macvlan: bridge, private, vepa or passthru", value="MODE"),
        Option(("-o", "--opt"), "create: mtu=BYTES, or parent=INTERFACE, mode=MODE", value="KEY=VALUE", repeat=True),
        Option(("--gateway",), "create: macvlan: the router there", value="ADDRESS", repeat=True),
        Option(("--ip-range",), "create: macvlan: whence addresses are chosen", value="SUBNET"),
        Option(("--shared",), "create: macvlan: root's, and everybody's to use"),
        Option(("--ip",), "connect: a fixed IPv4 address", value="ADDRESS", convert=ipv4),
        Option(("--ip6",), "connect: a fixed IPv6 address", value="ADDRESS", convert=ipv6),
        Option(("--alias",), "connect: one more name of it there", value="NAME", repeat=True),
        Option(("-f", "--force"), "prune: accepted and ignored, nothing is asked"),
        Option(("-q", "--quiet"), "ls: only names"),
        JSON,
    ),
    notes=(
        "prune removes your networks that no container is connected to, but for bridge.\n"
        "connect and disconnect take a network and a container, which may be running."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    typed, *names = arguments.operands or [""]
    action = SYNONYMS.get(typed, typed)
    if action not in ACTIONS:
        given = f"{action!r} is not known" if action else "nothing was asked for"
        raise UsageError(f"{given}: give one of {', '.join(ACTIONS)}")
    act, allowed, needs_names = ACTIONS[action]
    unfit = [f"--{key.replace('_', '-')}" for key in arguments.options if key in OWN and key not in allowed]
    if unfit:
        raise UsageError(f"network {action} takes no {unfit[0]}")
    if bool(names) != needs_names:
        raise UsageError(f"network {action} " + ("needs a name" if needs_names else f"takes no names: {names[0]!r}"))
    return act(arguments, names, client)


def create(arguments: Arguments, names: list[str], client: Client) -> int:
    if len(names) > 1:
        raise UsageError(f"network create makes one network, but got {', '.join(names)}")
    client.manager("CreateNetwork", "sa{sv}t", new_name("network create", names[0]), creation(arguments), 0)
    put(f"{names[0]}\n")
    return 0


def creation(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """The a{sv} of CreateNetwork."""
    given = arguments.options
    options: dict[str, tuple[str, Any]] = {bus: ("b", True) for key, bus in SWITCHES.items() if key in given}
    options |= {bus: ("s", given[key]) for key, bus in WORDS.items() if key in given}
    for key, bus in (("subnet", "Subnet"), ("gateway", "Gateway")):
        for text in given.get(key, ()):
            once(options, f"{bus}6" if ":" in text else bus, ("s", text), f"--{key} {text[:80]!r}")
    for text in given.get("opt", ()):
        name, equals, value = text.partition("=")
        if name not in DRIVER_OPTIONS or not equals:
            raise UsageError(f"--opt {text[:80]!r} is not known: give mtu=BYTES, parent=INTERFACE or mode=MODE")
        flag, key = f"--opt {name}", DRIVER_OPTIONS[name]
        once(options, key, ("t", mtu(flag, value)) if key == MTU else ("s", value), f"{flag} {value[:80]!r}")
    if "mtu" in given:
        once(options, MTU, ("t", given["mtu"]), f"--mtu {given['mtu']}")
    return options


def once(options: dict[str, tuple[str, Any]], key: str, value: tuple[str, Any], typed: str) -> None:
    if key in options:
        raise UsageError(f"{typed}: another one was given already")
    options[key] = value


def ls(arguments: Arguments, _: list[str], client: Client) -> int:
    found = sorted(listed(client), key=lambda network: str(network["Name"]))
    if arguments.get("quiet"):
        put("".join(f"{network['Name']}\n" for network in found))
    elif arguments.get("json", "off") != "off":
        put_long(to_json(found, pretty=arguments.get("json") == "pretty"), arguments)
    else:
        put_long(table(HEADS, [row(network) for network in found]), arguments)
    return 0


def row(network: dict[str, Any]) -> tuple[str, ...]:
    from ..owners import owner_name

    return (
        network["Name"], network["Driver"], network["Subnet"], network["Subnet6"], network["Interface"],
        owner_name(network["OwnerUID"]), str(network["Containers"]),
    )  # fmt: skip


def inspect(arguments: Arguments, names: list[str], client: Client) -> int:
    def show(name: str) -> None:
        reply = client.call(Call(network_path(name), PROPERTIES, "GetAll", "s", NETWORK))
        put(to_json(unwrapped(reply[0]), pretty=arguments.get("json", "pretty") != "short"))

    return each(names, show)


def rm(_: Arguments, names: list[str], client: Client) -> int:
    return each(names, lambda name: remove(name, client))


def connect(arguments: Arguments, names: list[str], client: Client) -> int:
    network, container = pair("connect", names)
    keys = {"ip": ("Address", "s"), "ip6": ("Address6", "s"), "alias": ("Aliases", "as")}
    options = {bus: (kind, arguments.options[key]) for key, (bus, kind) in keys.items() if key in arguments.options}
    call_on(client, container, Call("", CONTAINER, "Connect", "sa{sv}t", network, options, 0))
    return 0


def disconnect(_: Arguments, names: list[str], client: Client) -> int:
    network, container = pair("disconnect", names)
    call_on(client, container, Call("", CONTAINER, "Disconnect", "st", network, 0))
    return 0


def pair(action: str, names: list[str]) -> tuple[str, str]:
    if len(names) != 2:
        raise UsageError(f"network {action} takes a network and a container, but got {', '.join(names)}")
    return names[0], names[1]


def prune(_: Arguments, __: list[str], client: Client) -> int:
    """Of the caller's own, who may be root. The one that containers get unasked stays."""
    mine = [n for n in listed(client) if n["OwnerUID"] == os.getuid() and n["Name"] != DEFAULT]
    return each([str(n["Name"]) for n in mine if not n["Containers"]], lambda name: remove(name, client))


def remove(name: str, client: Client) -> None:
    client.call(Call(network_path(name), NETWORK, "Remove", "t", 0))
    put(f"{name}\n")


def listed(client: Client) -> list[dict[str, Any]]:
    (found,) = client.manager("ListNetworks", "t", 0)
    return [unwrapped(each) for each in found]


def each(names: list[str], do: Callable[[str], None]) -> int:
    """A failure is named and does not stop the others."""
    status = 0
    for name in dict.fromkeys(names):
        try:
            if not is_name(name):
                raise Failure(f"there is no network {name!r}", status=1)
            do(name)
        except Failure as error:
            complain(named(name, error))
            status = 1
    return status


SWITCHES = {"internal": "Internal", "shared": "Shared"}
WORDS = {"driver": "Driver", "parent": "Parent", "mode": "Mode", "ip_range": "AddressRange"}
MTU = "MTU"
DRIVER_OPTIONS = {  # as docker and podman call them
    "parent": "Parent", "mode": "Mode", "macvlan_mode": "Mode", "mtu": MTU, "com.docker.network.driver.mtu": MTU
}  # fmt: skip
OF_CREATE = ("subnet", "internal", "mtu", "driver", "parent", "mode", "opt", "gateway", "ip_range", "shared")
ACTIONS = {  # what to do, its own options, whether names follow
    "create": (create, OF_CREATE, True),
    "ls": (ls, ("quiet", "json"), False),
    "inspect": (inspect, ("json",), True),
    "rm": (rm, (), True),
    "prune": (prune, ("force",), False),
    "connect": (connect, ("ip", "ip6", "alias"), True),
    "disconnect": (disconnect, (), True),
}
OWN = (*OF_CREATE, "ip", "ip6", "alias", "force", "quiet", "json")
