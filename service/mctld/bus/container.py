# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Container: one object for each container; every handler is one line of the lifecycle."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..dangers import dangers
from ..errors import AccessDenied, UnknownObject
from ..security import SECCOMP_PROFILES
from . import entry, options
from .paths import container_path, exec_path
from .publication import publishing
from .question import INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from dbus_next.signature import Variant

    from ..execution import Execution
    from ..lifecycle.logs import LogQuery
    from ..ports import Port
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
        "command": shlex.join(spec.command),
        "user": str(spec.user),
        "host_paths": " ".join(bind.source.path for bind in spec.binds),
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


class ContainerObject(Target):
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
        verb, checked = self._checked(method, args)
        question = self.ask(call, (method.action,), checked, verb)
        match method.name, args:
            case "Update", [dict(given), _]:
                return replace(question, details={**question.details, **limit_details(given)})
            case "Publish", _:
                return publishing(question)
        return question

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.container  # raises where there is none
        return await super().introspect(call)

    def _checked(self, method: Method, args: Sequence[object]) -> tuple[str, tuple[object, ...]]:
        """The verb for polkit and the handler's arguments."""
        match method.name, args:
            case "Start", [int(flags)]:
                options.check_flags(flags, {})
                return "start", ()
            case "Stop", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return "stop", (options.parse(given, options.STOP).get("TimeoutUSec"),)
            case "Kill", [int(number), int(flags)]:
                options.check_flags(flags, {options.EVERYONE: "all its processes"})
                return "kill", (options.check_signal(number), bool(flags & options.EVERYONE))
            case "Remove", [int(flags)]:
                options.check_flags(flags, {options.FORCE: "kill it first if it runs"})
                return "remove", (bool(flags & options.FORCE),)
            case "Freeze" | "Thaw", [int(flags)]:
                options.check_flags(flags, {})
                return method.handler, ()
            case "Update", [dict(given), int(flags)]:
                options.check_flags(flags, {})
                return "update", (options.update(options.parse(given, options.LIMITS)),)
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

    async def stop(self, call: Call, timeout_usec: int | None) -> None:
        await self.container.stop(timeout_usec=timeout_usec)

    async def kill(self, call: Call, signal: int, everyone: bool) -> None:  # noqa: FBT001 (the contract's arguments)
        await self.container.kill(signal, everyone=everyone)

    async def remove(self, call: Call, force: bool) -> None:  # noqa: FBT001
        await self.container.remove(force=force)

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

    async def freeze(self, call: Call) -> None:
        await self.container.freeze()

    async def thaw(self, call: Call) -> None:
        await self.container.thaw()

    async def update(self, call: Call, changes: Mapping[str, Any]) -> None:
        await self.container.update(changes)

    async def publish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(added=ports)

    async def unpublish(self, call: Call, ports: Sequence[Port]) -> None:
        await self.container.publish(removed=ports)

    def open_log(self, call: Call, query: LogQuery) -> int:
        return self.container.open_log(query, reader_uid=call.uid)

    def name(self) -> str:
        return self.container.name

    def id(self) -> str:
        return self.container.id

    def owner_uid(self) -> int:
        return self.container.owner_uid

    def state(self) -> str:
        return self.container.state.value

    def rootfs(self) -> str:
        return self.container.spec.rootfs.path

    def command(self) -> list[str]:
        return list(self.container.spec.command)

    def environment(self) -> list[str]:
        return list(self.container.spec.environment)

    def working_directory(self) -> str:
        return self.container.spec.working_directory

    def hostname(self) -> str:
        return self.container.spec.hostname

    def user(self) -> str:
        return str(self.container.spec.user)

    def labels(self) -> dict[str, str]:
        return dict(self.container.spec.labels)

    def networks(self) -> list[str]:
        return [lease.network for lease in self.container.leases]

    def addresses(self) -> list[list[str]]:
        return [[lease.network, str(lease.address), str(lease.address6)] for lease in self.container.leases]

    def ports(self) -> list[list[str | int]]:
        return [
            [port.protocol, port.address, port.host, port.container, port.count]
            for port in self.container.spec.networking.ports
        ]

    def auto_remove(self) -> bool:
        return self.container.spec.auto_remove

    def stop_signal(self) -> int:
        return self.container.spec.stop_signal

    def timeout_stop_usec(self) -> int:
        return self.container.spec.timeout_stop_usec

    def memory_max(self) -> int:
        return self.container.spec.limits.memory_max

    def memory_high(self) -> int:
        return self.container.spec.limits.memory_high

    def memory_low(self) -> int:
        return self.container.spec.limits.memory_low

    def memory_swap_max(self) -> int:
        return self.container.spec.limits.memory_swap_max

    def oom_group(self) -> bool:
        return self.container.spec.limits.oom_group

    def cpu_quota_per_sec_usec(self) -> int:
        return self.container.spec.limits.cpu_quota_per_sec_usec

    def cpu_quota_period_usec(self) -> int:
        return self.container.spec.limits.cpu_quota_period_usec

    def cpu_weight(self) -> int:
        return self.container.spec.limits.cpu_weight

    def cpu_set(self) -> str:
        return self.container.spec.limits.cpu_set

    def cpu_set_mems(self) -> str:
        return self.container.spec.limits.cpu_set_mems

    def tasks_max(self) -> int:
        return self.container.spec.limits.tasks_max

    def io_weight(self) -> int:
        return self.container.spec.limits.io_weight

    def io_read_bandwidth_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_read_bandwidth_max)

    def io_write_bandwidth_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_write_bandwidth_max)

    def io_read_iops_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_read_iops_max)

    def io_write_iops_max(self) -> dict[str, int]:
        return dict(self.container.spec.limits.io_write_iops_max)

    def capabilities(self) -> list[str]:
        return list(self.container.spec.security.capabilities)

    def seccomp(self) -> str:
        text = self.container.spec.security.seccomp
        return text if text in SECCOMP_PROFILES else "custom"

    def no_new_privileges(self) -> bool:
        return self.container.spec.security.no_new_privileges

    def unmask(self) -> list[str]:
        return list(self.container.spec.security.unmask)

    def user_namespace(self) -> str:
        return self.container.spec.security.user_namespace

    def oom_score_adjust(self) -> int:
        return self.container.spec.security.oom_score_adjust

    def rlimits(self) -> dict[str, list[int]]:
        return {name: list(pair) for name, pair in self.container.spec.security.resource_limits.items()}

    def sysctls(self) -> dict[str, str]:
        return dict(self.container.spec.security.sysctls)

    def read_only(self) -> bool:
        return self.container.spec.read_only

    def devices(self) -> list[list[str]]:
        return [[device.path, device.target, device.permissions] for device in self.container.spec.devices]

    def mounts(self) -> list[list[str]]:
        return [[bind.source.path, bind.target, bind.options] for bind in self.container.spec.binds]

    def tmpfs(self) -> dict[str, str]:
        return {tmpfs.target: tmpfs.options for tmpfs in self.container.spec.tmpfs}

    def shm_size(self) -> int:
        return self.container.spec.shm_size

    def init(self) -> bool:
        return self.container.spec.init

    def hosts(self) -> dict[str, str]:
        return dict(self.container.spec.hosts)

    def name_servers(self) -> list[str]:
        return list(self.container.spec.name_servers)

    def warnings(self) -> list[str]:
        return list(self.container.warnings)

    def uid_shift(self) -> int:
        return self.container.uid_shift

    def unit(self) -> str:
        return self.container.unit

    def slice(self) -> str:
        return self.container.slice

    def control_group(self) -> str:
        return self.container.control_group

    def main_pid(self) -> int:
        return self.container.main_pid

    def create_timestamp(self) -> int:
        return self.container.created_usec

    def start_timestamp(self) -> int:
        return self.container.started_usec

    def start_timestamp_monotonic(self) -> int:
        return self.container.started_monotonic_usec

    def exit_timestamp(self) -> int:
        return self.container.exited_usec

    def exit_timestamp_monotonic(self) -> int:
        return self.container.exited_monotonic_usec

    def exit_how(self) -> str:
        return self.container.end.how if self.container.end else ""

    def exit_status(self) -> int:
        return self.container.end.status if self.container.end else 0
