# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Container: one object for each container; every handler is one line of the lifecycle."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..dangers import dangers
from ..errors import AccessDenied, UnknownObject
from ..image import ImageRoot
from . import entry, openings, options
from .paths import container_path, exec_path
from .properties import ContainerProperties
from .publication import publishing
from .question import ATTACH, INSPECT, Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from dbus_next.signature import Variant

    from ..execution import Execution
    from ..lifecycle.logs import LogQuery
    from ..ports import Port
    from ..restart import RestartPolicy
    from ..spec import Spec
    from .contract import Interface, Method, Property
    from .engine import Container, Registry
    from .question import Call

INTERFACE = "org.mctl1.Container"


def spec_details(spec: Spec) -> dict[str, str]:
    """What a polkit rule may judge by."""
    labels = {f"labels.{key}": value for key, value in spec.labels}
    found = dangers(spec)
    return {
        "image": spec.rootfs.path,
        **({"image_digest": spec.rootfs.image} if isinstance(spec.rootfs, ImageRoot) else {}),
        "command": shlex.join(spec.command),
        **({"health_command": shlex.join(spec.health.command)} if spec.health else {}),
        "user": str(spec.user),
        "host_paths": " ".join(bind.source.path for bind in spec.binds),
        "volumes": " ".join(mount.name or mount.target for mount in spec.volumes),
        "privileged": "yes" if found else "no",
        "dangers": "; ".join(found),
        "network": " ".join(spec.networking.networks) or "none",
        "ports": " ".join(map(str, spec.networking.ports)),
        **labels,
    }


def container_details(container: Container) -> dict[str, str]:
    return {"id": container.id, "owner": str(container.owner_uid), **spec_details(container.spec)}


def limit_details(given: Mapping[str, Variant]) -> dict[str, str]:
    """Limits as asked for; a rule may say how much is too much."""
    return {f"limits.{key}": _limit_text(variant.value) for key, variant in given.items()}


def _limit_text(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{path}:{rate}" for path, rate in sorted(value.items()))
    return str(value)


class ContainerObject(ContainerProperties):
    """Also stands for a path at which there is no container: only who is authorized learns that."""

    def __init__(
        self,
        registry: Registry,
        interfaces: Sequence[Interface],
        name: str,
        container: Container | None = None,
        *,
        subscribe: Callable[[Call], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(container_path(name), interfaces)
        self._registry = registry
        self._name = name
        self._subscribe = subscribe
        self._container = container or registry.get(name)

    @property
    def container(self) -> Container:
        if self._container is None:
            raise UnknownObject(f"there is no container {self._name!r}")
        return self._container

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        found = self._container
        return Question(
            actions,
            args,
            verb,
            f"{verb} the container $(container)" + (" of user $(owner)" if found else ""),
            self._name,
            found.owner_uid if found else None,
            container_details(found) if found else {},
            found,
            lambda: self._registry.get(self._name),
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Exec", [list(command), dict(given), int(flags)]:
                return entry.question(self.ask(call, (), (), "exec"), call, command, given, flags)
        verb, checked = self._checked(call, method, args)
        attaches = (ATTACH,) if method.name == "StartAttached" else ()
        question = self.ask(call, (method.action, *attaches), checked, verb)
        match method.name, args:
            case "Update", [dict(given), _]:
                return replace(question, details={**question.details, **limit_details(given)})
            case "Publish", _:
                return publishing(question)
            case "Attach", _:
                effect = "attach to the container $(container)"
                owned = " of user $(owner)" if question.subject else ""
                return replace(question, effect=effect + owned, blind_effect=effect)
        return question

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.container  # raises where there is none
        return await super().introspect(call)

    def _checked(self, call: Call, method: Method, args: Sequence[object]) -> tuple[str, tuple[object, ...]]:
        """The verb for polkit and the handler's arguments."""
        match method.name, args:
            case "Start" | "Attach", [int(flags)]:
                options.check_flags(flags, {})
                return method.handler, ()
            case "StartAttached", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                values = options.parse(given, options.START)
                return "start", (openings.checked_stdin(call, values), options.terminal_size(values))
            case "Stop" | "Restart", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return method.handler, (options.parse(given, options.STOP).get("TimeoutUSec"),)
            case "Kill", [int(number), int(flags)]:
                options.check_flags(flags, {options.EVERYONE: "all its processes"})
                return "kill", (options.check_signal(number), bool(flags & options.EVERYONE))
            case "Remove", [int(flags)]:
                known = {options.FORCE: "kill it first if it runs", options.VOLUMES: "and its nameless volumes"}
                options.check_flags(flags, known)
                return "remove", (bool(flags & options.FORCE), bool(flags & options.VOLUMES))
            case "Freeze" | "Thaw" | "Enable" | "Disable", [int(flags)]:
                options.check_flags(flags, {})
                return method.handler, ()
            case "Update", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return "update", options.update(options.parse(given, options.UPDATE))
            case "Publish" | "Unpublish", [list(given), int(flags)]:
                options.check_flags(flags, {})
                return method.name.lower(), (options.ports(given),)
            case "OpenLog", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return "logs", (options.log_query(options.parse(given, options.LOG)),)
        return method.handler.replace("_", " "), tuple(args)

    async def get_all(self, call: Call, wanted: Sequence[Property]) -> dict[str, Variant]:
        """So begins every proxy that keeps properties: from now on it hears of their changes."""
        if self._subscribe:
            await self._subscribe(call)
        return await super().get_all(call, wanted)

    async def start(self, call: Call) -> None:
        await self.container.start()

    async def start_attached(self, call: Call, stdin: int | None, window: tuple[int, int]) -> list[int]:
        opened = None if stdin is None else call.fds.peek(stdin)
        return list(await self.container.start(stdin=opened, attach=True, window=window))

    def attach(self, call: Call) -> list[int]:
        return list(self.container.attach())

    def resize(self, call: Call, rows: int, columns: int) -> None:
        self.container.resize(rows, columns)

    async def stop(self, call: Call, timeout_usec: int | None) -> None:
        await self.container.stop(timeout_usec=timeout_usec)

    async def restart(self, call: Call, timeout_usec: int | None) -> None:
        await self.container.restart(timeout_usec=timeout_usec)

    async def kill(self, call: Call, signal: int, everyone: bool) -> None:  # noqa: FBT001 (the contract's arguments)
        await self.container.kill(signal, everyone=everyone)

    async def remove(self, call: Call, force: bool, volumes: bool) -> None:  # noqa: FBT001
        spec = self.container.spec
        await self.container.remove(force=force)
        if volumes:
            self._registry.volumes.discard_nameless(spec)

    async def exec(
        self,
        call: Call,
        execution: Execution,
        stdin: int | None,
        attach: bool,  # noqa: FBT001
    ) -> tuple[str, list[int]]:
        if call.uid != 0 and not self.container.spec.security.has_user_namespace:
            raise AccessDenied(f"container {self._name!r} has the host's user ids: only root may execute more in it")
        opened = None if stdin is None else call.fds.peek(stdin)
        execs = self._registry.execs
        made, streams = await execs.start(self.container, execution, call.uid, stdin=opened, attach=attach)
        return exec_path(made.id), list(streams)

    async def enable(self, call: Call) -> None:
        await self.container.enable()

    async def disable(self, call: Call) -> None:
        await self.container.disable()

    async def freeze(self, call: Call) -> None:
        await self.container.freeze()

    async def thaw(self, call: Call) -> None:
        await self.container.thaw()

    async def update(self, call: Call, changes: Mapping[str, Any], policy: RestartPolicy | None) -> None:
        await self.container.update(changes, policy)

    async def publish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(added=ports)

    async def unpublish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(removed=ports)

    def open_log(self, call: Call, query: LogQuery) -> int:
        return self.container.open_log(query, reader_uid=call.uid)
