# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the caller's stands before a container in the foreground: standard streams, or a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .output import complain
from .parser import Option
from .stdio import Input

if TYPE_CHECKING:
    from types import ModuleType

    from .client import Client
    from .console import Console
    from .parser import Arguments
    from .relay import Attended

DETACH_KEYS = Option(("--detach-keys",), "what leaves the terminal, ctrl-p,ctrl-q if not given", value="KEYS")
MCTL_FAILED = 125


class Front:
    """From the options -d, -i, -t and --detach-keys. `terminal`: the container has one."""

    def __init__(self, arguments: Arguments, *, terminal: bool, interactive: bool | None = None) -> None:
        detached = bool(arguments.get("detach"))
        keyboard = bool(arguments.get("interactive")) if interactive is None else interactive
        self._terminal = terminal
        self._quiet = bool(arguments.get("quiet"))
        self._given = Input.of_caller() if keyboard and not terminal else None
        self._console = _console(arguments, keyboard=keyboard) if terminal and not detached else None
        if self._given and self._given.feed is not None and detached:
            raise UsageError("-i with -d cannot pass on a terminal: redirect standard input from a file or a pipe")

    def options(self) -> dict[str, tuple[str, Any]]:
        """For RunContainer and StartAttached."""
        if self._console:
            return self._console.options()
        return {"Stdin": ("h", self._given.given)} if self._given else {}

    def sent(self) -> None:
        """The service has its own copies now."""
        if self._given:
            self._given.sent()

    @staticmethod
    def prepare() -> ModuleType:
        """What attending takes: imported while the service works, it costs no time."""
        from . import relay

        return relay

    def attend(self, client: Client, path: str, identity: str, streams: list[int]) -> int:
        """Serves the streams until the end of the run; the exit status."""
        relay = self.prepare()
        how, status = self._serve(client, relay.container(path, identity, terminal=self._terminal), streams)
        return self._status(how, status, identity[:12])

    def attend_exec(self, client: Client, path: str, streams: list[int]) -> int:
        """The same for a command executed in a container. Its terminal is held here, and cannot be left alone."""
        relay = self.prepare()
        if self._console:
            self._console.keys = None
        how, status = self._serve(client, relay.executed(path, terminal=self._terminal), streams)
        if how == "unknown":
            complain(f"how the command ended is not known ({how})")
            return MCTL_FAILED
        return status if how == "exited" else 128 + status

    def _serve(self, client: Client, attended: Attended, streams: list[int]) -> tuple[str, int]:
        feed = self._given.feed if self._given else None
        found: tuple[str, int] = self.prepare().attend(client, attended, streams, feed=feed, console=self._console)
        return found

    def _status(self, how: str, status: int, identity: str) -> int:
        if how in ("exited", "detached"):
            return status
        if how in ("killed", "oom"):
            if how == "oom" and not self._quiet:
                complain(f"container {identity} was killed for want of memory; --memory sets its limit")
            return 128 + status
        complain(f"how container {identity} ended is not known ({how}); `mctl ps -a` and `mctl logs` may tell more")
        return MCTL_FAILED


def _console(arguments: Arguments, *, keyboard: bool) -> Console:
    from .console import Console

    return Console.of_caller(arguments, keyboard=keyboard)
