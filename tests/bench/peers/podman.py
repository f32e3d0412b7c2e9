# SPDX-License-Identifier: GPL-3.0-or-later
"""podman: no service, one conmon per container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import command, rootfs
from bench.peer import SLEEP, TRUE, Peer, Store, published

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE = "localhost/bench:latest"
# Without the pids controller podman's default limit cannot be set; Debian 12's crun needs to raise RLIMIT_MEMLOCK,
# which takes CAP_SYS_RESOURCE on the outer host; without a usable systemd it needs cgroupfs.
CANDIDATES = (
    (),
    ("--pids-limit=0",),
    ("--runtime=runc", "--pids-limit=0"),
    ("--runtime=runc", "--cgroup-manager=cgroupfs", "--pids-limit=0"),
)
GLOBAL = ("--runtime", "--cgroup-manager")


class Podman(Peer):
    name = "podman"

    def __init__(self, root: rootfs.Rootfs) -> None:
        super().__init__(root)
        self._global: tuple[str, ...] = ()
        self._run: tuple[str, ...] = ()

    def version(self) -> str:
        return command.output(["podman", "--version"]).strip()

    def prepare(self) -> None:
        rootfs.bind("/var/lib/containers")
        command.output(["podman", "import", str(self.rootfs.tar), IMAGE])
        self._choose()
        self.how = command.output([*self._podman(), "info", "--format",
                                   "storage {{.Store.GraphDriverName}}, cgroups {{.Host.CgroupManager}}, "
                                   "runtime {{.Host.OCIRuntime.Name}}"]).strip()  # fmt: skip
        self.how += f", --network=none {' '.join(self._run)}".rstrip()

    def true(self) -> list[str]:
        return self._runs("--rm", IMAGE, *TRUE)

    def bridged(self) -> list[str]:
        return [*self._podman(), "run", "--network=bridge", *self._run, "--rm", IMAGE, *TRUE]

    def on_bridge(self, argv: Sequence[str], *, name: str = "", port: int = 0) -> list[str]:
        return [*self._podman(), "run", "--network=bridge", *self._run, *published(name, port), IMAGE, *argv]

    def listing(self) -> list[str]:
        return [*self._podman(), "ps"]

    def sleeper(self, name: str) -> list[str]:
        return self._runs("-d", "--name", name, IMAGE, *SLEEP)

    def execution(self, name: str) -> list[str]:
        return [*self._podman(), "exec", name, *TRUE]

    def talker(self, name: str, argv: Sequence[str], *, detached: bool) -> list[str]:
        return self._runs(*(["-d"] if detached else []), "--log-driver=journald", "--name", name, IMAGE, *argv)

    def store(self) -> Store:
        return Store(
            "/var/lib/containers", ("podman", "pull", "-q", "--tls-verify=false"), ("podman", "import", "-q"),
            ("podman", "rmi"), tuple(self._runs("--rm")),
        )  # fmt: skip

    def wait(self, name: str) -> None:
        # It polls: by default every 250 ms, which would be added to its time.
        command.output([*self._podman(), "wait", "--interval=20ms", name])

    def remove(self, names: Sequence[str]) -> list[str]:
        return [*self._podman(), "rm", "--force", "--time=0", *names]

    def _choose(self) -> None:
        run = ["run", "--rm", "--network=none"]
        for candidate in CANDIDATES:
            self._global = tuple(flag for flag in candidate if flag.startswith(GLOBAL))
            self._run = tuple(flag for flag in candidate if flag not in self._global)
            try:
                command.output([*self._podman(), *run, *self._run, IMAGE, *TRUE])
            except command.FailedError:
                if candidate is CANDIDATES[-1]:
                    raise
            else:
                return

    def _podman(self) -> list[str]:
        return ["podman", *self._global]

    def _runs(self, *arguments: str) -> list[str]:
        return [*self._podman(), "run", "--network=none", *self._run, *arguments]
