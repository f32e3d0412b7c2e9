# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with what hosts have beside us that has its own mind about networks: firewalld and systemd-resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machine.image import Image
from machine.nspawn import Nspawn

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PACKAGES = ("firewalld", "systemd-resolved", "libnss-resolve", "dnsutils", "iperf3")


class HostImage(Image):
    """Its name is not one that machine.image.prune() knows."""

    @property
    def packages(self) -> tuple[str, ...]:
        return super().packages + PACKAGES

    @property
    def name(self) -> str:
        return f"hosts-{super().name}"

    def _script(self) -> str:
        return f"{super()._script()}\nsystemctl -q disable firewalld.service systemd-resolved.service"


class FullHost(Nspawn):
    def __init__(self, distro: str) -> None:
        super().__init__(distro)
        self.name += "-host"
        self.directory = self.directory.with_name(self.name)

    def _launch(self, base_of_all: Path) -> subprocess.Popen[bytes]:
        return super()._launch(HostImage(self.distro, with_kernel=False).tree())
