# SPDX-License-Identifier: GPL-3.0-or-later
"""docker: dockerd and containerd, one shim per container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench import command, rootfs
from bench.docker_api import DockerApi
from bench.peer import SLEEP, TRUE, Peer, Store, published

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE = "bench:latest"
SETTINGS = Path("/etc/docker/daemon.json")
# Its bridge and firewall need kernel modules that the outer host may lack; only one measure asks for a network.
WITHOUT_BRIDGE = {"bridge": "none", "iptables": False, "ip6tables": False}
INFO = "storage {{.Driver}}, cgroups {{.CgroupDriver}}, runtime {{.DefaultRuntime}}"


class Docker(Peer):
    name = "docker"
    units = ("docker.service", "containerd.service")

    def version(self) -> str:
        return command.output(["docker", "--version"]).strip()

    def prepare(self) -> None:
        for path in ("/var/lib/docker", "/var/lib/containerd"):
            rootfs.bind(path)
        bridge = self._start()
        command.output(["docker", "import", str(self.rootfs.tar), IMAGE])
        command.output(self.true())
        self.how = f"{command.output(['docker', 'info', '--format', INFO]).strip()}, --network=none; {bridge}"

    def true(self) -> list[str]:
        return ["docker", "run", "--rm", "--network=none", IMAGE, *TRUE]

    def bridged(self) -> list[str] | None:
        return None if SETTINGS.exists() else ["docker", "run", "--rm", IMAGE, *TRUE]

    def on_bridge(self, argv: Sequence[str], *, name: str = "", port: int = 0) -> list[str] | None:
        return None if SETTINGS.exists() else ["docker", "run", *published(name, port), IMAGE, *argv]

    def listing(self) -> list[str]:
        return ["docker", "ps"]

    def sleeper(self, name: str) -> list[str]:
        return ["docker", "run", "-d", "--network=none", "--name", name, IMAGE, *SLEEP]

    def execution(self, name: str) -> list[str]:
        return ["docker", "exec", name, *TRUE]

    def store(self) -> Store:
        return Store(
            "/var/lib/docker", ("docker", "pull", "-q"), ("docker", "import"), ("docker", "rmi"),
            ("docker", "run", "--rm", "--network=none"),
        )  # fmt: skip

    def service(self, *, bridged: bool = False) -> DockerApi | None:
        return None if bridged and SETTINGS.exists() else DockerApi(IMAGE, "bridge" if bridged else "none")

    def talker(self, name: str, argv: Sequence[str], *, detached: bool) -> list[str]:
        flags = ["--network=none", "--log-driver=journald", *(["-d"] if detached else [])]
        return ["docker", "run", *flags, "--name", name, IMAGE, *argv]

    def wait(self, name: str) -> None:
        command.output(["docker", "wait", name])

    def remove(self, names: Sequence[str]) -> list[str]:
        return ["docker", "rm", "--force", *names]

    def _start(self) -> str:
        try:
            command.output(["systemctl", "start", "docker.service"])
        except command.FailedError as failure:
            why = command.output(["journalctl", "-u", "docker.service", "-o", "cat", "-g", "fail", "-n", "1"])
            SETTINGS.parent.mkdir(exist_ok=True)
            SETTINGS.write_text(json.dumps(WITHOUT_BRIDGE))
            command.output(["systemctl", "reset-failed", "docker.service"])
            command.output(["systemctl", "restart", "docker.service"])
            return f"daemon without bridge and iptables, since it said: {(why.strip() or str(failure))[:160]}"
        return "daemon with its bridge"
