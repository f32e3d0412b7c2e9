# SPDX-License-Identifier: GPL-3.0-or-later
"""To join what a container prints while it runs, and to type into its terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidArgs, LimitsExceeded, NoTerminal
from ..runtime.planner import NO_WINDOW
from .terminal import Terminal
from .watcher import PATIENCE, Watcher, watcher_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..spec import Spec
    from .relay import Relay
    from .start import Window

WATCHERS_MAX = 16


def check(spec: Spec, stdin: int | None, window: Window) -> None:
    """Whether what comes with a start fits the container. Raises InvalidArgs."""
    if spec.terminal and stdin is not None:
        raise InvalidArgs("Stdin is given for a container with Terminal: what is typed there comes by the stream")
    if not spec.terminal and window != NO_WINDOW:
        raise InvalidArgs("TerminalSize is given for a container without Terminal")


def attach(name: str, relays: Sequence[Relay]) -> tuple[int, ...]:
    """One socket for both directions if there is a terminal, else a reading end for each of the relays."""
    if not relays:
        what = f"container {name!r} has no terminal, and its output goes straight to the journal"
        raise NoTerminal(f"{what}: `mctl logs -f {name}` shows it")
    found = _terminal_of(relays)
    if found:
        return (found.attach().detach(),)
    if any(relay.watched >= WATCHERS_MAX for relay in relays):
        raise LimitsExceeded(f"{WATCHERS_MAX} are attached to container {name!r} already, the most: one must leave")
    return tuple(_watch(relay) for relay in relays)


def terminal(name: str, relays: Sequence[Relay]) -> Terminal:
    found = _terminal_of(relays)
    if found is None:
        raise NoTerminal(f"container {name!r} has no terminal")
    return found


def _terminal_of(relays: Sequence[Relay]) -> Terminal | None:
    return next((relay for relay in relays if isinstance(relay, Terminal)), None)


def _watch(relay: Relay) -> int:
    watcher, watching = watcher_pair()
    relay.watch(Watcher(watcher.detach(), patience=PATIENCE))
    return watching.detach()
