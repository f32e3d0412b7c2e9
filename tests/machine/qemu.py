# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in qemu: a kernel of its own with every cgroup controller, to be limited, rebooted, crashed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from machine import host, terminal
from machine.guest import Machine, MachineError, Result, environment
from machine.image import Image
from machine.ports import NoAnswerError, Ports

if TYPE_CHECKING:
    from collections.abc import Sequence

PORT_COUNT = 3
DISK_BYTES = 4 << 30  # sparse
BOOT_SECONDS = 480.0  # emulated, and not alone on its host
PROBE_SECONDS = 6.0
GRACE_SECONDS = 15.0  # the agent kills at the timeout and answers; this much later nobody is there
BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")
APPEND = "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 systemd.show_status=no systemd.getty_auto=no panic=-1"


class Qemu(Machine):
    """Its disk lives until close(): kill() and boot() again is a power cut and the return of power."""

    kind = "qemu"

    def __init__(self, distro: str, *, memory: int = 2048, cpus: int = 2) -> None:
        self.distro = distro
        self.memory, self.cpus = memory, cpus
        self._directory = tempfile.TemporaryDirectory(prefix=f"mctl-qemu-{distro}-", dir=_roomy())
        self.directory = Path(self._directory.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = Ports([])

    def boot(self) -> None:
        host.require(host.QEMU_TOOLS)
        base = Image(self.distro, with_kernel=True).tree()
        disk = self.directory / "disk"
        if not disk.exists():
            subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(ext4(base)), str(disk)], check=True)
        for stale in self.directory.glob("port*"):
            stale.unlink()
        began = time.monotonic()
        with (self.directory / "qemu.log").open("wb") as log:
            command = ["setpriv", "--pdeathsig", "KILL", *self._qemu(base / "boot")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._ports = Ports([self.directory / f"port{number}" for number in range(PORT_COUNT)])
        try:
            self._await_agent()
            self.wait_booted(BOOT_SECONDS)
        except BaseException as failure:
            failure.add_note(self.console())
            self.close()
            raise
        host.say(f"qemu {self.distro} booted in {time.monotonic() - began:.1f} s")

    def command(self, argv: Sequence[str], *, user: str | None = None, timeout: float, stdin: bytes) -> Result:
        if not self._is_up():
            raise MachineError(f"qemu {self.distro} is not running")
        identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        inside = ["setpriv", *identity, "--", "sh", "-c", 'cd; exec "$@"', "sh", *argv]
        try:
            with self._ports.take() as port:
                patience = timeout + GRACE_SECONDS
                status, stdout, stderr = port.call(inside, environment(user), stdin, timeout=timeout, patience=patience)
        except NoAnswerError as error:
            error.add_note(self.console())
            raise
        return Result(tuple(argv), status, stdout, stderr)

    def shell(self) -> int:
        self.run(["systemctl", "start", "serial-getty@ttyS0"])
        return terminal.attach(self.directory / "serial")

    def console(self) -> str:
        log = self.directory / "console.log"
        text = log.read_text(errors="replace")[-4000:] if log.exists() else ""
        return f"console:\n{text}\n{(self.directory / 'qemu.log').read_text(errors='replace')}"

    def reboot(self) -> None:
        """An orderly reboot; returns when the machine is up again."""
        old = self._boot_id()
        self.run(["systemctl", "reboot"], check=False)
        self._await_new_boot(old)

    def reset(self) -> None:
        """The reset button: nothing is written back, no process is told."""
        old = self._boot_id()
        self._monitor("system_reset")
        self._await_new_boot(old)

    def poweroff(self) -> None:
        self.run(["systemctl", "poweroff"], check=False)
        self._await_end(120)

    def kill(self) -> None:
        if self._is_up():
            assert self._process is not None
            self._process.send_signal(signal.SIGKILL)
            self._await_end(20)

    def close(self) -> None:
        self.kill()
        self._directory.cleanup()

    def _qemu(self, boot: Path) -> list[str]:
        here = self.directory
        kernel, initrd = (sorted(boot.glob(pattern))[-1] for pattern in ("vmlinuz-*", "initrd.img-*"))
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35",
                   *_acceleration(), "-cpu", "max", "-m", str(self.memory), "-smp", str(self.cpus),
                   "-kernel", str(kernel), "-initrd", str(initrd), "-append", APPEND,
                   "-drive", f"file={here}/disk,format=raw,if=virtio,cache=writeback,discard=unmap",
                   "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=serial,path={here}/serial,server=on,wait=off,logfile={here}/console.log",
                   "-serial", "chardev:serial", "-qmp", f"unix:{here}/qmp,server=on,wait=off"]  # fmt: skip
        for number in range(PORT_COUNT):
            command += ["-chardev", f"socket,id=port{number},path={here}/port{number},server=on,wait=off",
                        "-device", f"virtserialport,chardev=port{number},name=harness.{number}"]  # fmt: skip
        return command

    def _boot_id(self) -> str:
        return self.run(BOOT_ID).text.strip()

    def _await_agent(self) -> None:
        """The port keeps the first request until the agent opens its end."""
        assert self._process is not None
        while not (self.directory / f"port{PORT_COUNT - 1}").exists():
            if self._process.poll() is not None:
                raise MachineError("qemu did not start")
            time.sleep(0.02)
        self.run(["true"], timeout=BOOT_SECONDS)

    def _await_new_boot(self, old: str) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            with self._ports.take() as port, contextlib.suppress(NoAnswerError, subprocess.TimeoutExpired):
                _, found, _ = port.call(BOOT_ID, {}, b"", timeout=PROBE_SECONDS, patience=PROBE_SECONDS)
                if found.strip() not in (b"", old.encode()):
                    break
            time.sleep(0.5)
        self.wait_booted(deadline - time.monotonic())

    def _monitor(self, command: str) -> None:
        """One QMP command (qemu-qmp-ref(7))."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            monitor.connect(str(self.directory / "qmp"))
            lines = monitor.makefile("rwb")
            lines.readline()
            for name in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": name}).encode() + b"\n")
                lines.flush()
                while b'"return"' not in (line := lines.readline()):
                    if not line or b'"error"' in line:
                        raise MachineError(f"QMP {name}: {line!r}")

    def _is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _await_end(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def ext4(base: Path) -> Path:
    """The base as a sparse ext4 image beside it, made once."""
    image = base.with_suffix(".ext4")
    with host.locked(base.with_suffix(".ext4.lock")):
        if not image.exists():
            host.say(f"making the disk {image.name} (once)")
            making = base.with_suffix(".ext4.making")
            with making.open("wb") as file:
                file.truncate(DISK_BYTES)
            subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", "-m", "0",
                            "-d", str(base), str(making)], check=True)  # fmt: skip
            making.rename(image)
    return image


def _acceleration() -> list[str]:
    """The emulator, in one thread. KVM only on demand: in a VM its device is often there and fails once in use.

    With a thread for each of them, a processor can execute code that another one is about to patch (static keys of
    the kernel, such as cpusets_enabled): the guest's kernel then stops at "invalid opcode" or int3, at random.
    """
    return ["-accel", "kvm"] if os.environ.get("MCTL_KVM") == "1" else ["-accel", "tcg,thread=single"]


def _roomy() -> Path:
    """Unix socket paths are short (unix(7): 108 bytes), so not below the cache."""
    place = Path("/var/tmp")
    if shutil.disk_usage(place).free < 2 << 30:
        raise host.HostError(f"{place} has less than 2 GiB left for a qemu machine")
    return place
