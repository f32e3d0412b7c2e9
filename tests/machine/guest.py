# SPDX-License-Identifier: GPL-3.0-or-later
"""What every throw-away machine offers, however it is booted."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machine import host

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSED = 123  # an in-machine script ends with this, so that "nothing happened" is never success
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ACCEPTED = ("running", "degraded")


@dataclass(frozen=True)
class Result:
    """A finished command: a negative returncode is the signal that killed it."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    def describe(self) -> str:
        parts = [f"{shlex.join(self.argv)} ended with {self.returncode}"]
        for name, data in (("stdout", self.stdout), ("stderr", self.stderr)):
            if data:
                parts.append(f"--- {name}\n{data[-6000:].decode(errors='replace').rstrip()}")
        return "\n".join(parts)


def environment(user: str | None) -> dict[str, str]:
    """What a command finds set: nothing of the outer host but the kind of terminal."""
    name, home = (user, f"/home/{user}") if user else ("root", "/root")
    return {"PATH": PATH, "HOME": home, "USER": name, "LOGNAME": name, "LANG": "C.UTF-8",
            "TERM": os.environ.get("TERM", "dumb")}  # fmt: skip


class CommandFailedError(AssertionError):
    """A command in the machine ended with another status than its caller needs."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.describe())
        self.result = result


class MachineError(Exception):
    """The machine itself failed: no boot, no answer."""


class Machine(ABC):
    """One booted Debian with systemd as PID 1; used as a context manager it is gone at the end."""

    kind: str
    distro: str

    @abstractmethod
    def boot(self) -> None: ...

    @abstractmethod
    def command(self, argv: Sequence[str], *, user: str | None = None, timeout: float, stdin: bytes) -> Result: ...

    @abstractmethod
    def shell(self) -> int:
        """An interactive root shell on this terminal; returns its exit status."""

    @abstractmethod
    def poweroff(self) -> None:
        """An orderly stop, as an admin would do it."""

    @abstractmethod
    def kill(self) -> None:
        """The end without warning, as a power cut."""

    @abstractmethod
    def close(self) -> None:
        """The machine and everything it left on the outer host is gone."""

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, argv: Sequence[str], *, user: str | None = None, input: bytes | str | None = None,  # noqa: A002
            timeout: float = 60, check: bool = True) -> Result:
        """Runs argv as root or as user; check raises CommandFailedError on a non-zero exit."""
        data = input.encode() if isinstance(input, str) else input or b""
        result = self.command(argv, user=user, timeout=timeout, stdin=data)
        if check and result.returncode:
            raise CommandFailedError(result)
        return result

    def script(self, text: str, *, user: str | None = None, timeout: float = 60) -> Result:
        """Runs a shell script (-eu) that must end in `exit 123` when all went well."""
        result = self.run(["sh", "-eu", "-c", text, "script"], user=user, timeout=timeout, check=False)
        if result.returncode != PASSED:
            raise CommandFailedError(result)
        return result

    def push(self, src: Path | str, dst: str) -> None:
        """Copies a file or a directory of the outer host to the path dst of the machine, owned by root."""
        source = Path(src)
        if not source.is_dir():
            self.write(dst, source.read_bytes(), mode=source.stat().st_mode & 0o777)
            return
        packed = subprocess.run(["tar", "-C", str(source), "-c", "."], check=True, capture_output=True).stdout
        self.run(["sh", "-ec", 'mkdir -p "$1"; tar -C "$1" --no-same-owner -x', "sh", dst], input=packed)

    def write(self, dst: str, data: bytes | str, *, mode: int = 0o644) -> None:
        text = 'mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"'
        self.run(["sh", "-ec", text, "sh", dst, f"{mode:o}"], input=data)

    def read(self, path: str) -> bytes:
        return self.run(["cat", path]).stdout

    def install(self, deb: Path) -> None:
        """Installs or upgrades to a .deb whose dependencies the base image has."""
        self.push(deb, "/root/mctl.deb")
        self.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", "/root/mctl.deb"], timeout=300)

    def wait_booted(self, timeout: float) -> None:
        """Returns when systemd has finished its boot; raises when it does not, says what is degraded."""
        deadline = time.monotonic() + timeout
        said = ""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise MachineError(f"{self.kind} {self.distro}: no boot within {timeout:.0f} s; {said}")
            try:
                result = self.run(["systemctl", "is-system-running", "--wait"], timeout=left, check=False)
            except subprocess.TimeoutExpired as error:
                jobs = self.run(["systemctl", "list-jobs", "--no-legend"], check=False).text.strip()
                waited = f"{self.kind} {self.distro}: no boot within {timeout:.0f} s; it still has to do: {jobs}"
                raise MachineError(waited) from error
            state = result.text.strip()
            if state in ACCEPTED:
                break
            said = result.describe()
            time.sleep(0.05)  # PID 1 does not listen yet: there is nothing else to wait for
        if state == "degraded":
            failed = self.run(["systemctl", "--failed", "--plain", "--no-legend"], check=False).text.strip()
            host.say(f"{self.kind} {self.distro} is degraded: {failed}")
