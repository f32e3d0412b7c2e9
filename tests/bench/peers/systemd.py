# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's own: a machine per command, and a service with a root directory."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from bench import command
from bench.peer import SLEEP, TRUE, Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.rootfs import Rootfs


class Nspawn(Peer):
    name = "systemd-nspawn"
    units = ("systemd-machined.service",)

    def __init__(self, rootfs: Rootfs) -> None:
        super().__init__(rootfs)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def version(self) -> str:
        return command.output(["systemd-nspawn", "--version"]).splitlines()[0]

    def prepare(self) -> None:
        command.output(self.true())
        self.how = "read-only root without overlay, registered with machined, no user namespace"

    def true(self) -> list[str]:
        return self._machine(self.new_name(), TRUE)

    def listing(self) -> list[str]:
        return ["machinectl", "list", "--no-pager"]

    def sleeper(self, name: str) -> None:
        """It stays in the foreground: sleepers() starts it."""

    def sleepers(self, count: int) -> list[str]:
        names = [self.new_name() for _ in range(count)]
        for name in names:
            self._running[name] = subprocess.Popen(self._machine(name, SLEEP), stdin=subprocess.DEVNULL,
                                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        return names

    def remove(self, names: Sequence[str]) -> list[str]:
        for name in names:
            process = self._running.pop(name)
            process.send_signal(signal.SIGTERM)
            process.wait()
        return ["true"]

    def _machine(self, name: str, argv: Sequence[str]) -> list[str]:
        return ["systemd-nspawn", "--quiet", "--read-only", "--private-network", "--pipe", "--resolv-conf=off",
                "--timezone=off", "--machine", name, "--directory", str(self.rootfs.directory), *argv]  # fmt: skip


class SystemdRun(Peer):
    name = "systemd-run"

    def version(self) -> str:
        return command.output(["systemd-run", "--version"]).splitlines()[0]

    def prepare(self) -> None:
        command.output(self.true())
        self.how = "a service: RootDirectory=, PrivateNetwork=, PrivateIPC=; no PID namespace, no overlay"

    def true(self) -> list[str]:
        return self._service("--wait", "--collect", "--pipe", "--", *TRUE)

    def listing(self) -> list[str]:
        return ["systemctl", "list-units", "--no-pager", "bench-*"]

    def sleeper(self, name: str) -> list[str]:
        return self._service("--collect", f"--unit={name}", "--", *SLEEP)

    def remove(self, names: Sequence[str]) -> list[str]:
        return ["systemctl", "stop", *(f"{name}.service" for name in names)]

    def _service(self, *arguments: str) -> list[str]:
        properties = [f"RootDirectory={self.rootfs.directory}", "MountAPIVFS=yes", "PrivateNetwork=yes",
                      "PrivateIPC=yes"]  # fmt: skip
        return ["systemd-run", "--quiet", *(f"--property={text}" for text in properties), *arguments]
