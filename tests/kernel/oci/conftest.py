# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles with a busybox in them, and mctl-oci as engines call it, without cgroups: those need a machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[3] / "cli" / "bin" / "mctl-oci"
TOOLS = ("sh", "cat", "echo", "ls", "id", "true", "sleep", "grep", "hostname", "pwd", "touch", "mount", "stat", "kill",
         "tr", "head", "tty", "dd", "readlink")  # fmt: skip
PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
DEV = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]}
PTS = {"destination": "/dev/pts", "type": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}


class Runtime:
    """A bundle and the command that runs it."""

    def __init__(self, directory: Path) -> None:
        self.bundle = directory / "bundle"
        self.root = self.bundle / "rootfs"
        self.state = directory / "state"
        (self.root / "bin").mkdir(parents=True)
        shutil.copy("/usr/bin/busybox" if os.path.exists("/usr/bin/busybox") else "/bin/busybox", self.root / "bin")
        for tool in TOOLS:
            (self.root / "bin" / tool).symlink_to("busybox")

    def configure(self, *args: str, **changes: Any) -> dict[str, Any]:
        """process_x is a property of process, linux_x one of linux."""
        document: dict[str, Any] = {
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": list(args), "env": ["PATH=/bin"]},
            "mounts": [PROC, DEV, PTS],
            "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network")]},
        }
        for name, given in changes.items():
            part, _, key = name.partition("_")
            if part in ("process", "linux", "root"):
                document[part][key] = given
            else:
                document[name] = given
        (self.bundle / "config.json").write_text(json.dumps(document))
        return document

    def call(self, *words: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [str(PROGRAM), "--root", str(self.state), "--cgroup-manager", "disabled", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False, **more
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def run(self, *args: str, **changes: Any) -> str:
        """What the command prints."""
        self.configure(*args, **changes)
        return self.call("run", "--bundle", str(self.bundle), "one").stdout

    def fails(self, *args: str, **changes: Any) -> str:
        """The sentence, and nothing is left."""
        self.configure(*args, **changes)
        done = self.call("run", "--bundle", str(self.bundle), "one", check=False)
        assert done.returncode == 1, done
        assert self.names() == []
        return done.stderr

    def create(self, *options: str, name: str = "one", **more: Any) -> subprocess.CompletedProcess[str]:
        """Its output goes nowhere: the container keeps the descriptors."""
        command = [str(PROGRAM), "--root", str(self.state), "--cgroup-manager", "disabled", "create", "--bundle",
                   str(self.bundle), *options, name]  # fmt: skip
        with open(self.bundle.parent / "output", "ab+") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, check=False, **more
            )
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, "", output.read().decode())

    def status(self, name: str = "one") -> str:
        return str(json.loads(self.call("state", name).stdout)["status"])

    def names(self) -> list[str]:
        return self.call("list", "--quiet").stdout.split()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    if os.geteuid() != 0:
        pytest.skip("makes namespaces: needs root")
    made = Runtime(tmp_path)
    yield made
    for name in made.names():
        made.call("delete", "--force", name)
    assert {entry for entry in os.listdir(made.state) if entry[0] != "."} == set() if made.state.exists() else True
