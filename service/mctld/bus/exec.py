# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Exec: one object for each command executed in a container that runs, and for a while after its end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ..errors import UnknownObject
from . import options
from .paths import container_path, exec_path
from .question import INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dbus_next.signature import Variant

    from .contract import Interface, Method, Property
    from .engine import Exec, Registry
    from .question import Call

INTERFACE = "org.mctl1.Exec"


class ExecObject(Target):
    """Also stands for a path at which there is none: only who is authorized learns that."""

    def __init__(
        self,
        registry: Registry,
        interfaces: Sequence[Interface],
        identity: str,
        found: Exec | None = None,
        *,
        subscribe: Callable[[Call], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(exec_path(identity), interfaces)
        self._registry = registry
        self._identity = identity
        self._subscribe = subscribe
        self._found = found or registry.execs.get(identity)

    @property
    def exec(self) -> Exec:
        if self._found is None:
            raise UnknownObject(f"there is no exec {self._identity!r}; one that has ended stays for half a minute")
        return self._found

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        """It belongs to the container's owner, and to the one who asked for it."""
        found = self._found
        return Question(
            actions,
            args,
            verb,
            f"{verb} the command $(command)" + (" in the container $(container)" if found else ""),
            self._identity,
            (call.uid if found.belongs_to(call.uid) else found.about.owner_uid) if found else None,
            details(found) if found else {},
            found,
            lambda: self._registry.execs.get(self._identity),
            noun="exec",
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Kill", [int(number), int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (options.check_signal(number),), "kill")
        return super().ask_own(call, method, args)

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.exec  # raises where there is none
        return await super().introspect(call)

    async def get_all(self, call: Call, wanted: Sequence[Property]) -> dict[str, Variant]:
        """So begins every proxy that keeps properties: from now on it hears of their changes."""
        if self._subscribe:
            await self._subscribe(call)
        return await super().get_all(call, wanted)

    async def wait(self, call: Call) -> tuple[str, int]:
        del call
        end = await self.exec.wait()
        return end.how, end.status

    def kill(self, call: Call, signal: int) -> None:
        del call
        self.exec.kill(signal)

    def id(self) -> str:
        return self.exec.id

    def container(self) -> str:
        return container_path(self.exec.about.container)

    def command(self) -> list[str]:
        return list(self.exec.about.command)

    def user(self) -> str:
        return self.exec.about.user

    def pid(self) -> int:
        return self.exec.pid

    def state(self) -> str:
        return self.exec.state

    def exit_how(self) -> str:
        return self.exec.end.how if self.exec.end else ""

    def exit_status(self) -> int:
        return self.exec.end.status if self.exec.end else 0


def details(found: Exec) -> dict[str, str]:
    """What a polkit rule may judge by."""
    about = found.about
    return {
        "container": about.container,
        "id": about.container_id,
        "owner": str(about.owner_uid),
        "command": shlex.join(about.command),
        "user": about.user,
    }
