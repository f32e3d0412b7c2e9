# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks in one go: facts from the bus, facts from files and attempts in a thread, then judgement."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ...errors import ADVICE, MctlError
from ...runtime import trial, users
from ...systemd import journal as journald
from ...systemd import properties
from . import cgroups, firewall, hardening, identities, kernel, network, promises, services, storage
from .host import Host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...networking import Network
    from ...systemd.manager import Bus
    from ..machinery import Machinery
    from .finding import Finding

PATIENCE = 5.0  # seconds that others may take to answer
PAUSE = 0.25  # seconds between two checks: every user may ask for one, and each makes namespaces
SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Version")
NAMES = (
    "org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/mctl_2dnames_2esocket",
    "org.freedesktop.systemd1.Unit", "ActiveState",
)  # fmt: skip
POLKIT = (
    "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
    "org.freedesktop.PolicyKit1.Authority", "BackendVersion",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answers:
    """What others say when they are asked: a version or None, and a failure."""

    systemd: tuple[str | None, str]
    polkit: tuple[str | None, str]
    spawner: str  # failure
    outdated: bool
    names: tuple[str, Mapping[str, str]]  # failure; why it cannot listen, by address
    namespace: str | None  # why there is no user namespace, empty where there is one, None where nobody could be asked


class Checkup:
    """One at a time: who asks while one is being made gets its answer too."""

    def __init__(self, machinery: Machinery, bus: Bus, host: Host | None = None) -> None:
        self._machinery = machinery
        self._bus = bus
        self._host = host or Host()
        self._running: asyncio.Task[tuple[Finding, ...]] | None = None
        self._earliest = 0.0

    @cached_property
    def features(self) -> tuple[str, ...]:
        return promises.features(self._host)

    async def findings(self) -> tuple[Finding, ...]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check(), name="check the host")
        return await asyncio.shield(self._running)

    async def _check(self) -> tuple[Finding, ...]:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._earliest - clock())
        try:
            return await self._findings()
        finally:
            self._earliest = clock() + PAUSE

    async def _findings(self) -> tuple[Finding, ...]:
        spawner = await self._ask_spawner()
        failure, namespace = await self._user_namespace() if not spawner else (None, None)
        systemd, polkit = await asyncio.gather(self._version(SYSTEMD), self._version(POLKIT))
        names = await self._ask_name_server()
        answers = Answers(systemd, polkit, spawner, not self._machinery.spawner.understands, names, failure)
        return await asyncio.to_thread(judge, self._host, self._machinery, answers, namespace)

    async def _ask_spawner(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._machinery.spawner.answer()
        except (MctlError, TimeoutError) as error:
            return str(error) or "it does not answer"
        return ""

    async def _ask_name_server(self) -> tuple[str, Mapping[str, str]]:
        state, failure = await self._version(NAMES)
        if state != "active":
            return f"mctl-names.socket is {state}" if state else failure, {}
        return await self._machinery.networks.examine_names()

    async def _user_namespace(self) -> tuple[str, int | None]:
        try:
            return "", await self._machinery.spawner.user_namespace(users.whole(users.FIRST))
        except (MctlError, OSError) as error:
            return str(error).removesuffix(f"; {ADVICE}"), None

    async def _version(self, where: tuple[str, str, str, str]) -> tuple[str | None, str]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await properties.text(self._bus, *where), ""
        except (MctlError, TimeoutError) as error:
            return None, str(error) or f"no answer in {PATIENCE:.0f} seconds"


def judge(host: Host, machinery: Machinery, answers: Answers, namespace: int | None) -> tuple[Finding, ...]:
    """In a thread. Takes over the user namespace's descriptor."""
    try:
        tried = None if namespace is None else trial.layers(machinery.settings.containers, namespace)
    finally:
        if namespace is not None:
            os.close(namespace)
    return (
        *of_kernel(host, answers.namespace),
        *of_storage(host, machinery, tried),
        *of_services(host, machinery, answers),
        *of_network(host, machinery, answers),
        *of_hardening(host),
    )


def of_kernel(host: Host, namespace: str | None) -> list[Finding]:
    hierarchy = cgroups.read(host)
    return [
        kernel.release(os.uname().release),
        kernel.system_calls(trial.system_calls()),
        kernel.namespaces(kernel.read_namespaces(host)),
        identities.user_namespaces(identities.read_namespaces(host, namespace)),
        identities.pool(identities.read_claims(host)),
        cgroups.hierarchy(hierarchy),
        *cgroups.controllers(hierarchy),
        cgroups.io_weight(cgroups.read_weighing(host)),
        cgroups.swap(cgroups.read_swap(host)),
        cgroups.device_rules(trial.device_rules()),
        hardening.seccomp(hardening.read_seccomp(host, trial.filter_library())),
    ]


def of_storage(host: Host, machinery: Machinery, tried: trial.Layers | None) -> list[Finding]:
    directory, layers = machinery.settings.state_directory, machinery.settings.containers
    return [
        storage.idmap(tried, layers, storage.file_system(host, layers)),
        storage.overlay(tried, layers),
        storage.database(machinery.settings.database, machinery.store.examine()),
        storage.room(host.room(directory), directory),
    ]


def of_services(host: Host, machinery: Machinery, answers: Answers) -> list[Finding]:
    journal = services.read_journal(host, journald.unreachable())
    return [
        services.systemd(answers.systemd[0]),
        services.spawner(answers.spawner, outdated=answers.outdated),
        services.polkit(*answers.polkit),
        services.journal(journal),
        services.journal_storage(journal),
        services.journal_namespaces(host, wanted=machinery.settings.journal.wanted),
    ]


def of_network(host: Host, machinery: Machinery, answers: Answers) -> list[Finding]:
    tried, networks = trial.network(), tuple(machinery.networks.all())
    subnets = {each.interface: each.subnet for each in networks if each.macvlan is None}
    subnets = subnets or {firewall.FIRST: machinery.settings.network.default_subnet}
    return [
        network.bridge(tried.bridge),
        network.nftables(tried.nft),
        network.forwarding(network.read_forwarding(host)),
        network.routes(_overlaps(networks)),
        firewall.firewall(firewall.barriers(trial.rules(), subnets)),
        network.names(*answers.names),
        network.macvlan(tried.macvlan),
        network.sctp(tried.sctp),
    ]


def _overlaps(networks: Sequence[Network]) -> list[str]:
    if not networks:  # what is loaded here nobody needs without
        return []
    from ...network import routes

    return routes.overlaps(networks)


def of_hardening(host: Host) -> list[Finding]:
    return [
        hardening.security_modules(host.text(hardening.LSM)),
        hardening.kernel_messages(host.number("/proc/sys/kernel/dmesg_restrict")),
        hardening.terminal_injection(host.number("/proc/sys/dev/tty/legacy_tiocsti")),
    ]
