# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Container: one object for each container; every handler is one line of the lifecycle."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..dangers import dangers
from ..errors import AccessDenied, UnknownObject
from ..image import ImageRoot
from ..networking import check_network_name
from . import ability, content, copies, entry, openings, options, processes, renaming, updating
from .paths import container_path, exec_path, image_path
from .properties import ContainerProperties
from .publication import publishing
from .question import ATTACH, IMAGES, INSPECT, Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dbus_next.signature import Variant

    from ..change import Change
    from ..execution import Execution
    from ..lifecycle.committing import Configure
    from ..lifecycle.copies import Arrival
    from ..lifecycle.logs import LogQuery
    from ..networking import Fixed
    from ..ports import Port
    from ..reference import Reference
    from ..spec import Spec
    from .codec import Encoded
    from .contract import Interface, Method, Property
    from .engine import Container, Registry
    from .question import Call

INTERFACE = "org.mctl1.Container"
# By which rules judge, where it is not the method's own name.
_VERBS = {
    "StartAttached": "start", "OpenLog": "logs", "FollowLog": "logs",
    "CopyIn": "copy-in", "CopyOut": "copy-out", "ListChanges": "diff",
}  # fmt: skip
_ENTERING = frozenset({"Exec", "CopyIn", "CopyOut"})  # who may do one of them may do all
_FURTHER = {"StartAttached": ATTACH, "Commit": IMAGES}


def _actions(method: Method) -> tuple[str, ...]:
    return (method.action, _FURTHER[method.name]) if method.name in _FURTHER else (method.action,)


def spec_details(spec: Spec, shared: str = "") -> dict[str, str]:
    """What a polkit rule may judge by. shared: what is dangerous about the network that it shares."""
    labels = {f"labels.{key}": value for key, value in spec.labels}
    found = (*([shared] if shared else ()), *dangers(spec))
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
        "network": _network(spec),
        "ports": " ".join(map(str, spec.networking.ports)),
        **labels,
    }


def _network(spec: Spec) -> str:
    networking = spec.networking
    if networking.host:
        return "host"
    return f"container:{networking.container}" if networking.container else " ".join(networking.networks) or "none"


def container_details(container: Container) -> dict[str, str]:
    return {"id": container.id, "owner": str(container.owner_uid), **spec_details(container.spec)}


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
        judge: ability.Judge | None = None,
        look: updating.Look | None = None,
    ) -> None:
        super().__init__(container_path(name), interfaces)
        self._judge = judge
        self._look = look
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

    def question(self, call: Call, method: Method, args: Sequence[object]) -> Question | Awaitable[Question]:
        match method.name, args:
            case "Update", [dict(given), int(flags)] if method.interface == INTERFACE:
                assert self._look is not None  # objects that serve calls have one
                return updating.question(self.ask(call, (), (), "update"), call, given, flags, self._look)
        return super().question(call, method, args)

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Exec", [list(command), dict(given), int(flags)]:
                return entry.question(self.ask(call, (), (), "exec"), call, command, given, flags)
            case "Can", [list(names)]:
                return Question((method.action,), ability.wanted(names, self.interfaces[INTERFACE].methods), "can")
            case "Export", [int(output), dict(given), int(flags)]:
                return content.exporting(self.ask(call, (), (), "export"), call, output, given, flags)
            case "ListChanges", [int(output), int(flags)]:
                return content.listing(self.ask(call, (), (), "diff"), call, output, flags)
            case "Commit", [dict(given), int(flags)]:
                return content.committing(self.ask(call, (), (), "commit"), given, flags)
            case "Rename", [str(name), int(flags)]:
                return renaming.question(self.ask(call, (method.action,), (), "rename"), name, flags)
            case "CopyIn", [str(path), int(archive), dict(given), int(flags)]:
                return copies.inwards(self.ask(call, (), (), "copy-in"), call, path, archive, given, flags)
            case "CopyOut", [str(path), int(output), int(flags)]:
                return copies.outwards(self.ask(call, (), (), "copy-out"), call, path, output, flags)
        verb, checked = self._checked(call, method, args)
        question = self.ask(call, _actions(method), checked, verb)
        match method.name, args:
            case "Connect" | "Disconnect", [str(network), *_]:
                return replace(question, details={**question.details, "network": network})
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
                return _VERBS[method.name], (openings.checked_stdin(call, values), options.terminal_size(values))
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
            case "Freeze" | "Thaw" | "Enable" | "Disable" | "GetProcesses", [int(flags)]:
                options.check_flags(flags, {})
                return method.handler.replace("_", " "), ()
            case "Connect", [str(network), dict(given), int(flags)]:
                options.check_flags(flags, {})
                return "connect", (check_network_name(network), *options.connection(given))
            case "Disconnect", [str(network), int(flags)]:
                options.check_flags(flags, {})
                return "disconnect", (check_network_name(network),)
            case "Publish" | "Unpublish", [list(given), int(flags)]:
                options.check_flags(flags, {})
                return method.name.lower(), (options.ports(given),)
            case "OpenLog" | "FollowLog", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                asked = options.parse(given, options.LOG if method.name == "OpenLog" else options.FOLLOWED_LOG)
                return _VERBS[method.name], (options.log_query(asked),)
        return method.handler.replace("_", " "), tuple(args)

    async def can(self, call: Call, *names: str) -> ability.Answers:
        assert self._judge is not None  # objects that serve calls have one
        methods = self.interfaces[INTERFACE].methods
        questions = ((name, self._foreseen(call, methods[name])) for name in names)
        return await ability.answers(self._judge, call, questions, lambda member: self._hindrance(call, member))

    def _foreseen(self, call: Call, method: Method) -> Question:
        """The question behind a call that says no more than it must."""
        question = self.ask(call, _actions(method), (), _VERBS.get(method.name, method.handler.replace("_", " ")))
        return replace(question, actions=entry.actions(question, call)) if method.name in _ENTERING else question

    def _hindrance(self, call: Call, member: str) -> tuple[str, str]:
        if member in _ENTERING and (forbidden := entry.forbidden(self.container, call)):
            return ability.NO, forbidden
        hindrance = ability.hindrance(self.container, member)
        return (ability.NOT_NOW, hindrance) if hindrance else ("", "")

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
        if force:
            self._registry.copies.give_up(self.container.id)
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
        if forbidden := entry.forbidden(self.container, call):
            raise AccessDenied(forbidden)
        opened = None if stdin is None else call.fds.peek(stdin)
        execs = self._registry.execs
        made, streams = await execs.start(self.container, execution, call.uid, stdin=opened, attach=attach)
        return exec_path(made.id), list(streams)

    async def export(self, call: Call, output: int, pause: bool) -> None:  # noqa: FBT001
        await self.container.export(call.fds.peek(output), call.uid, pause=pause)

    async def list_changes(self, call: Call, output: int) -> None:
        await self.container.list_changes(call.fds.peek(output), call.uid)

    async def commit(
        self,
        call: Call,
        references: Sequence[Reference],
        configure: Configure,
        private: bool,  # noqa: FBT001
        pause: bool,  # noqa: FBT001
    ) -> tuple[str, str, list[str]]:
        made, left_out = await self.container.commit(call.uid, references, configure, private=private, pause=pause)
        return image_path(made.key), made.id, content.warnings(left_out)

    async def rename(self, call: Call, name: str) -> None:
        await self._registry.rename(self.container, name)

    async def copy_in(self, call: Call, asked: Arrival, archive: int) -> int:
        copies.refuse_without_namespace(call, self.container)
        return await self._registry.copies.copy_in(self.container, asked, call.fds.peek(archive), call.uid)

    async def copy_out(self, call: Call, path: str, output: int, follow: bool) -> int:  # noqa: FBT001
        copies.refuse_without_namespace(call, self.container)
        opened = call.fds.peek(output)
        return await self._registry.copies.copy_out(self.container, path, opened, call.uid, follow=follow)

    async def enable(self, call: Call) -> None:
        await self.container.enable()

    async def disable(self, call: Call) -> None:
        await self.container.disable()

    async def freeze(self, call: Call) -> None:
        await self.container.freeze()

    async def thaw(self, call: Call) -> None:
        await self.container.thaw()

    async def update(self, call: Call, change: Change) -> None:
        await self.container.update(change)

    async def connect(self, call: Call, network: str, wanted: Fixed, aliases: tuple[str, ...]) -> None:
        (found,) = self._registry.networks.find([network], call.uid)
        await self.container.connect(found, wanted, aliases)

    async def disconnect(self, call: Call, network: str) -> None:
        (found,) = self._registry.networks.find([network], call.uid)
        await self.container.disconnect(found)

    async def publish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(added=ports)

    async def unpublish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(removed=ports)

    async def get_processes(self, call: Call) -> list[Encoded]:
        return await self.container.processes(partial(processes.told, self.container), call.check_unread)

    def open_log(self, call: Call, query: LogQuery) -> int:
        return self.container.open_log(query, reader_uid=call.uid)

    def follow_log(self, call: Call, query: LogQuery) -> tuple[int, int]:
        return self.container.follow_log(query, reader_uid=call.uid)
