# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of run and create that connect a container to networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .names import NAME_RULE, is_name
from .parser import Option

if TYPE_CHECKING:
    from .parser import Arguments

NONE = "none"


def network(flag: str, text: str) -> str:
    if not is_name(text):
        raise UsageError(f"{flag} {text[:80]!r} is not the name of a network: use {NAME_RULE}, or {NONE}")
    return text


def ipv4(flag: str, text: str) -> str:
    parts = text.split(".")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and p == str(int(p)) and int(p) < 256 for p in parts):
        raise UsageError(f"{flag} {text[:80]!r} is not an IPv4 address as in 172.20.0.9")
    return text


OPTIONS = (
    Option(("--network", "--net"), "a network, or none; else bridge", value="NAME", convert=network, repeat=True),
    Option(("--ip",), "a fixed IPv4 address on the first network", value="ADDRESS", convert=ipv4),
)


def network_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Their part of the a{sv} of CreateContainer."""
    found: dict[str, tuple[str, Any]] = {}
    if "network" in arguments.options:
        found["Networks"] = ("as", _names(arguments.options["network"]))
    if "ip" in arguments.options:
        found["Address"] = ("s", arguments.options["ip"])
    return found


def _names(given: list[str]) -> list[str]:
    if NONE not in given:
        return given
    if len(given) > 1:
        raise UsageError(f"--network {NONE} goes with no other: {', '.join(given)} were given")
    return []
