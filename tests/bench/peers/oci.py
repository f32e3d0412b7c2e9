# SPDX-License-Identifier: GPL-3.0-or-later
"""crun and runc alone: an OCI bundle, no image, no service, nobody who keeps the exit status or the output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench import command
from bench.peer import SLEEP, TRUE, Peer
from bench.rootfs import GROUND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Oci(Peer):
    """A runtime command; global_flags stand before the verb."""

    program: str
    global_flags: tuple[str, ...] = ()

    def version(self) -> str:
        return command.output([self.program, "--version"]).splitlines()[0]

    def prepare(self) -> None:
        self._bundle("true", TRUE)
        self._bundle("sleep", SLEEP)
        command.output(self.true())
        self.how = "bare bundle, root read-only without overlay, no user namespace"

    def true(self) -> list[str]:
        return self._verb("run", "--bundle", str(self._directory("true")), self.new_name())

    def listing(self) -> list[str]:
        return self._verb("list")

    def sleeper(self, name: str) -> list[str]:
        return self._verb("run", "--detach", "--bundle", str(self._directory("sleep")), name)

    def execution(self, name: str) -> list[str]:
        return self._verb("exec", name, *TRUE)

    def remove(self, names: Sequence[str]) -> list[str]:
        """Takes one name at a time; the shell's own few milliseconds are nobody's measure."""
        return ["sh", "-ec", 'for name; do "$0" delete --force "$name"; done', self.program, *names]

    def _verb(self, *arguments: str) -> list[str]:
        return [self.program, *self.global_flags, *arguments]

    def _directory(self, what: str) -> Path:
        return GROUND / f"{self.program}-{what}"

    def _bundle(self, what: str, argv: Sequence[str]) -> None:
        """The runtime's own default config, with our root and command."""
        directory = self._directory(what)
        directory.mkdir(exist_ok=True)
        config = directory / "config.json"
        config.unlink(missing_ok=True)
        command.output(["sh", "-ec", 'cd "$1"; exec "$0" spec', self.program, str(directory)])
        spec = json.loads(config.read_text())
        spec["process"] |= {"terminal": False, "args": list(argv)}
        spec["root"] = {"path": str(self.rootfs.directory), "readonly": True}
        config.write_text(json.dumps(spec))


class Own(Oci):
    name = "mctl-oci"
    program = "mctl-oci"


class Crun(Oci):
    name = "crun"
    program = "crun"


class CrunSystemd(Oci):
    name = "crun --systemd-cgroup"
    program = "crun"
    global_flags = ("--systemd-cgroup",)


class Runc(Oci):
    name = "runc"
    program = "runc"
