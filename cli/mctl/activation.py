# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of run and create by which connections start a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .networking import published
from .parser import Option
from .sizes import duration

if TYPE_CHECKING:
    from .parser import Arguments

ACTIONS = ("stop", "freeze")


def activated(flag: str, text: str) -> tuple[str, str, int, int, int]:
    """As -p, but of tcp, and with the host's port: what has none is PORT on both sides."""
    protocol, address, outside, inside, count = published(flag, text)
    if protocol != "tcp":
        raise UsageError(f"{flag} {text[:80]!r}: only tcp has connections that can be waited for")
    return protocol, address, outside or inside, inside, count


def action(flag: str, text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"{flag} {text!r} is not known: give {' or '.join(ACTIONS)}")
    return text


OPTIONS = (
    Option(
        ("--activate",), "a port of the host at which a connection starts it", value="[IP:][HOST:]CTR",
        convert=activated, repeat=True,
    ),
    Option(("--idle",), "with --activate: how long without a connection", value="TIME", convert=duration),
    Option(("--on-idle",), "what is done then: stop, if not given, or freeze", value="ACTION", convert=action),
)  # fmt: skip


def activation_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Their part of the a{sv} of CreateContainer."""
    keys = {"activate": ("ActivatedPorts", "a(ssqqq)"), "idle": ("IdleUSec", "t"), "on_idle": ("IdleAction", "s")}
    if "on_idle" in arguments.options and "idle" not in arguments.options:
        raise UsageError("--on-idle says what is done after the time of --idle: give both")
    return {bus: (kind, arguments.options[key]) for key, (bus, kind) in keys.items() if key in arguments.options}
