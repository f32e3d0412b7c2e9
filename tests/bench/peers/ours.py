# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl with mctld and its spawner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import command
from bench.bus import Bus
from bench.figures import OURS
from bench.peer import SLEEP, TRUE, Peer, Store, published

if TYPE_CHECKING:
    from collections.abc import Sequence

ALONE = ("--network=none",)


class Ours(Peer):
    name = OURS
    units = ("mctld.service", "mctl-spawner.service")

    def version(self) -> str:
        return command.output(["dpkg-query", "-W", "-f", "mctl ${Version}", "mctl"])

    def prepare(self) -> None:
        command.output(self.true())
        self.how = "overlay over the directory, user namespace, seccomp, systemd scope; --network=none"

    def true(self) -> list[str]:
        return ["mctl", "run", "--rm", *ALONE, str(self.rootfs.directory), *TRUE]

    def bridged(self) -> list[str]:
        return ["mctl", "run", "--rm", str(self.rootfs.directory), *TRUE]

    def on_bridge(self, argv: Sequence[str], *, name: str = "", port: int = 0) -> list[str]:
        return ["mctl", "run", "-q", *published(name, port), str(self.rootfs.directory), *argv]

    def listing(self) -> list[str]:
        return ["mctl", "ps"]

    def sleeper(self, name: str) -> list[str]:
        return self.talker(name, SLEEP, detached=True)

    def execution(self, name: str) -> list[str]:
        return ["mctl", "exec", name, *TRUE]

    def store(self) -> Store:
        return Store(
            "/var/lib/mctl", ("mctl", "pull", "-q", "--tls-verify=false"), ("mctl", "import"), ("mctl", "rmi"),
            ("mctl", "run", "--rm", *ALONE),
        )  # fmt: skip

    def service(self, *, bridged: bool = False) -> Bus:
        return Bus(self.rootfs, bridged=bridged)

    def talker(self, name: str, argv: Sequence[str], *, detached: bool) -> list[str]:
        flags = ["-d"] if detached else []
        return ["mctl", "run", *ALONE, *flags, "--name", name, str(self.rootfs.directory), *argv]

    def wait(self, name: str) -> None:
        with self.service() as bus:
            bus.wait(name)

    def remove(self, names: Sequence[str]) -> list[str]:
        return ["mctl", "rm", "-f", *names]
