# SPDX-License-Identifier: GPL-3.0-or-later
"""A second base image: the machines' ordinary one with the engines that ours is compared with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from machine import host
from machine.image import Image

if TYPE_CHECKING:
    from pathlib import Path

PEERS = ("crun", "runc", "podman", "netavark", "docker.io", "iptables", "ca-certificates", "systemd-container",
         "catatonit", "uidmap")
# Debian 13 has the docker command in a package of its own, which docker.io only recommends.
ALSO = {"trixie": ("docker-cli",)}
NETWORK = ("iperf3", "wrk", "nginx-light")
# Started when they are measured, so that they weigh on nobody else.
DISABLED = ("docker.service", "docker.socket", "containerd.service", "podman.socket", "podman.service",
            "podman-auto-update.timer", "podman-auto-update.service", "podman-restart.service")  # fmt: skip


class PeersImage(Image):
    """An nspawn base with the peers installed; its name is not one that machine.image.prune() knows."""

    @property
    def packages(self) -> tuple[str, ...]:
        return super().packages + PEERS + ALSO.get(self.distro, ())

    @property
    def name(self) -> str:
        return f"peers-{super().name}"

    def tree(self) -> Path:
        made = super().tree()
        for entry in made.parent.glob(f"peers-{self.distro}-*"):
            if entry.name.removesuffix(".lock") != self.name:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        return made

    def _script(self) -> str:
        wants = " ".join(f"/etc/systemd/system/*.wants/{unit}" for unit in DISABLED)
        return f"{super()._script()}\nrm -f {wants}"


class NetworkImage(PeersImage):
    """Also with what networks are measured by."""

    @property
    def packages(self) -> tuple[str, ...]:
        return super().packages + NETWORK

    @property
    def name(self) -> str:
        return f"network-{super().name}"

    def tree(self) -> Path:
        return Image.tree(self)  # the other one stays

    def _script(self) -> str:
        return f"{super()._script()}\nrm -f /etc/systemd/system/*.wants/nginx.service"


def base(distro: str, *, peers: bool, network: bool = False) -> Path:
    """The root directory of the base, made now when the cache has none."""
    host.require(host.NSPAWN_TOOLS)
    kind = NetworkImage if network else PeersImage if peers else Image
    return kind(distro, with_kernel=False).tree()
