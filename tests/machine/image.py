# SPDX-License-Identifier: GPL-3.0-or-later
"""Base images: a small Debian made by mmdebstrap, cached by a hash of what goes into it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import host

DISTROS = ("trixie", "bookworm")
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "polkitd", "libpam-systemd",
    "python3", "python3-dbus-next", "python3-systemd", "python3-prctl", "python3-pyroute2", "python3-nftables",
    "python3-jeepney", "python3-seccomp",
    "busybox-static", "iproute2", "nftables", "procps", "tini", "util-linux", "libglib2.0-bin", "strace", "man-db",
    "skopeo", "docker-registry", "openssl",
)  # fmt: skip
# For those who call from elsewhere or otherwise, and machinectl with systemd-machined.
SHELLS = ("openssh-server", "openssh-client", "zsh", "fish", "systemd-container")
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools", "kmod", "udev")
USERS = (("alice", 1000), ("bob", 1001))
AGENT = Path(__file__).with_name("agent.py")
AGENT_UNIT = """\
[Unit]
Description=Runs the commands of the test harness
DefaultDependencies=no
After=systemd-udevd.service local-fs.target
[Service]
ExecStart=/usr/bin/python3 -IS /usr/local/lib/harness-agent.py
Slice=-.slice
Restart=always
KillMode=process
OOMScoreAdjust=-1000
[Install]
WantedBy=sysinit.target
"""
SERIAL_LOGIN = "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 - linux\n"
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "man-db.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "systemd-firstboot.service",
          "docker-registry.service")  # fmt: skip


@dataclass(frozen=True)
class Image:
    """A Debian to boot: with_kernel tells a qemu machine's from an nspawn machine's."""

    distro: str
    with_kernel: bool

    @property
    def packages(self) -> tuple[str, ...]:
        return PACKAGES + (KERNEL if self.with_kernel else SHELLS)

    @property
    def name(self) -> str:
        recipe = json.dumps([self.distro, self.packages, self._script(), self._files()])
        kind = "qemu" if self.with_kernel else "nspawn"
        return f"{self.distro}-{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def tree(self) -> Path:
        """The root directory of the base, made now when the cache has none."""
        shelf = host.cache() / "machines"
        target = shelf / self.name
        with host.locked(shelf / f"{self.name}.lock"):
            if not target.exists():
                host.say(f"making the base image {self.name} (once, about a minute)")
                self._make(shelf, target)
        return target

    def _make(self, shelf: Path, target: Path) -> None:
        shelf.chmod(0o755)
        with tempfile.TemporaryDirectory(dir=shelf, prefix=".making-") as making:
            root = Path(making, "root")
            self._bootstrap(root)
            for path, text in self._files().items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            subprocess.run(["chroot", str(root), "sh", "-euc", self._script()], check=True, env=environment())
            root.rename(target)

    def _bootstrap(self, root: Path) -> None:
        log = root.with_suffix(".log")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=directory",
                   f"--include={','.join(self.packages)}",
                   '--aptopt=Acquire::Retries "3"', '--dpkgopt=path-exclude=/usr/share/doc/*',
                   self.distro, str(root)]  # fmt: skip
        with log.open("wb") as output:
            done = subprocess.run(command, stdout=output, stderr=output, check=False, env=environment())
        if done.returncode:
            raise host.HostError(f"mmdebstrap {self.distro} failed ({done.returncode}):\n{log.read_text()[-4000:]}")

    def _files(self) -> dict[str, str]:
        files = {"etc/hostname": f"{self.distro}\n", "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n"}
        if self.with_kernel:
            files["etc/initramfs-tools/initramfs.conf"] = "MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\nRUNSIZE=10%\n"
            files["etc/initramfs-tools/modules"] = "virtio_pci\nvirtio_blk\next4\n"
            files["etc/fstab"] = "/dev/vda / ext4 rw,noatime 0 0\n"
            files["usr/local/lib/harness-agent.py"] = AGENT.read_text()
            files["etc/systemd/system/sysinit.target.wants/.keep"] = ""
            files["etc/systemd/system/harness-agent.service"] = AGENT_UNIT
            files["etc/systemd/system/serial-getty@ttyS0.service.d/login.conf"] = SERIAL_LOGIN
        return files

    def _script(self) -> str:
        lines = [f"useradd -m -u {uid} -s /bin/bash {name}" for name, uid in USERS]
        lines += [f"ln -sf /dev/null /etc/systemd/system/{unit}" for unit in TIMERS]
        lines += ["passwd -q -d root", ": >/etc/machine-id", "rm -f /var/lib/dbus/machine-id /etc/resolv.conf"]
        if not self.with_kernel:
            lines.append("ln -sf /dev/null /etc/systemd/system/systemd-modules-load.service")
            lines.append("systemctl -q disable ssh.service ssh.socket")
        if self.with_kernel:
            lines += ["ln -s ../harness-agent.service /etc/systemd/system/sysinit.target.wants",
                      "ln -sf /dev/null /etc/systemd/system/getty@tty1.service"]  # fmt: skip
            lines += ["rm /boot/initrd.img-*", "update-initramfs -c -k all >/dev/null 2>&1"]
        return "\n".join(lines)


def environment() -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {**keep, "PATH": host.search_path(), "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}


def prune() -> None:
    """Removes bases of older recipes, so that the cache keeps its size."""
    shelf = host.cache() / "machines"
    wanted = {Image(distro, with_kernel=kernel).name for distro in DISTROS for kernel in (False, True)}
    for entry in shelf.glob("*-*-????????????*"):
        if entry.name.split(".")[0] not in wanted and entry.name.startswith(DISTROS):
            host.say(f"removing the outdated {entry.name}")
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
