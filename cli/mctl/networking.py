# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of run and create that connect a container to networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .names import NAME_RULE, is_name
from .parser import Option

if TYPE_CHECKING:
    from .parser import Arguments

NONE, HOST, CONTAINER = "none", "host", "container:"
ANY = ("0.0.0.0", "*")  # all addresses of the host, of both families
PROTOCOLS = ("tcp", "udp", "sctp")
PORT_MAX = 65_535

Port = tuple[str, str, int, int, int]  # protocol, address and first port of the host, first port inside, how many


def network(flag: str, text: str) -> str:
    if text.startswith(CONTAINER):
        if not is_name(text.removeprefix(CONTAINER)):
            raise UsageError(f"{flag} {text[:80]!r} names no container: give {CONTAINER}NAME, or {CONTAINER}ID")
    elif not is_name(text):
        others = f"{NONE}, {HOST} or {CONTAINER}NAME"
        raise UsageError(f"{flag} {text[:80]!r} is not the name of a network: use {NAME_RULE}, or {others}")
    return text


def ipv4(flag: str, text: str) -> str:
    parts = text.split(".")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and p == str(int(p)) and int(p) < 256 for p in parts):
        raise UsageError(f"{flag} {text[:80]!r} is not an IPv4 address as in 172.20.0.9")
    return text


def ipv6(flag: str, text: str) -> str:
    import socket

    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        raise UsageError(f"{flag} {text[:80]!r} is not an IPv6 address as in fd00::9") from None
    return text


def mtu(flag: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{flag} {text[:80]!r} is not a number of bytes, as in 1450")
    return int(text)


def exposed(flag: str, text: str) -> Port:
    """PORT[/PROTOCOL], also FIRST-LAST: as docker's --expose and EXPOSE in an image."""
    numbers, _, protocol = text.partition("/")
    wanted = f"{flag} {text[:80]!r} is not PORT[/PROTOCOL], as in 80 or 5000-5010/udp"
    if protocol not in ("", *PROTOCOLS):
        raise UsageError(wanted)
    first, count = _range(numbers, wanted)
    return protocol or PROTOCOLS[0], "", 0, first, count


def published(flag: str, text: str) -> Port:
    """[[IP:][HOST]:]CONTAINER[/PROTOCOL], ports also as FIRST-LAST: as docker's -p. An IPv6 address in brackets."""
    wanted = f"{flag} {text[:80]!r} is not [IP:][HOST:]CONTAINER[/PROTOCOL], as in 8080:80 or 127.0.0.2:53:53/udp"
    rest, slash, protocol = text.partition("/")
    if slash and protocol not in PROTOCOLS:
        raise UsageError(f"{flag} {text[:80]!r}: protocol {protocol!r} is not known: give {', '.join(PROTOCOLS)}")
    address, host, container = _split(rest, wanted)
    inside, count = _range(container, wanted)
    outside, outer_count = _range(host, wanted) if host else (0, count)
    if outer_count != count or (count > 1 and not outside):
        raise UsageError(f"{flag} {text[:80]!r}: both ranges must have the same length")
    return protocol or PROTOCOLS[0], address, outside, inside, count


def _split(text: str, wanted: str) -> tuple[str, str, str]:
    """Address, host's and container's ports."""
    address = ""
    if text.startswith("["):
        address, bracket, text = text[1:].partition("]:")
        if not bracket:
            raise UsageError(wanted)
        parts = text.split(":")
    else:
        parts = text.split(":")
        if len(parts) == 3:
            address = parts.pop(0)
            if not address:
                raise UsageError(wanted)
    if not 1 <= len(parts) <= 2 or (address and len(parts) < 2):
        raise UsageError(wanted)
    return "" if address in ANY else address, parts[0] if len(parts) == 2 else "", parts[-1]


def _range(text: str, wanted: str) -> tuple[int, int]:
    """First and how many."""
    first, dash, last = text.partition("-")
    for number in (first, last) if dash else (first,):
        if not (number.isascii() and number.isdigit() and len(number) <= 5 and 0 < int(number) <= PORT_MAX):
            raise UsageError(f"{wanted}: ports are from 1 to {PORT_MAX}")
    count = int(last) - int(first) + 1 if dash else 1
    if count < 1:
        raise UsageError(f"{wanted}: {text} runs backwards")
    return int(first), count


OPTIONS = (
    Option(
        ("--network", "--net"), "a network, none, host or container:NAME; else bridge", value="NAME",
        convert=network, repeat=True,
    ),
    Option(("--ip",), "a fixed IPv4 address on the first network", value="ADDRESS", convert=ipv4),
    Option(("--ip6",), "a fixed IPv6 address on the first network", value="ADDRESS", convert=ipv6),
    Option(("--network-alias", "--net-alias"), "one more name on its networks", value="NAME", repeat=True),
    Option(("-p", "--publish"), "a port of the host", value="[IP:]HOST:CTR[/PROTO]", convert=published, repeat=True),
    Option(("-P", "--publish-all"), "all ports that the image exposes, on free ones of the host"),
    Option(("--expose",), "one more that it exposes, for -P", value="PORT[/PROTO]", convert=exposed, repeat=True),
)  # fmt: skip


def network_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Their part of the a{sv} of CreateContainer."""
    found: dict[str, tuple[str, Any]] = {}
    if "network" in arguments.options:
        found |= _where(_names(arguments.options["network"]))
    if "ip" in arguments.options:
        found["Address"] = ("s", arguments.options["ip"])
    if "ip6" in arguments.options:
        found["Address6"] = ("s", arguments.options["ip6"])
    if "network_alias" in arguments.options:
        found["NetworkAliases"] = ("as", arguments.options["network_alias"])
    if "publish" in arguments.options:
        found["Ports"] = ("a(ssqqq)", arguments.options["publish"])
    return found


def _where(names: list[str]) -> dict[str, tuple[str, Any]]:
    if names == [HOST]:
        return {"HostNetwork": ("b", True)}
    if names and names[0].startswith(CONTAINER):
        return {"NetworkContainer": ("s", names[0].removeprefix(CONTAINER))}
    return {"Networks": ("as", names)}


def _names(given: list[str]) -> list[str]:
    for alone in given:
        if (alone in (NONE, HOST) or alone.startswith(CONTAINER)) and len(given) > 1:
            raise UsageError(f"--network {alone} goes with no other: {', '.join(given)} were given")
    return [] if NONE in given else given
