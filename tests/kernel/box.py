# SPDX-License-Identifier: GPL-3.0-or-later
"""A container without the daemon: a root directory with the host's programs, and what a start hands to the stage."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kernel.driver import IDS, conducted, output_of
from mctld.kernel import mount
from mctld.mounts import Bind, HostPath
from mctld.runtime import etc, planner, reaper, rootfs, users
from mctld.runtime.plan import Plan
from mctld.security import Security
from mctld.spec import Rootfs, Spec

if TYPE_CHECKING:
    from pathlib import Path

    from mctld.runtime.launch import Spawner

LAST_CAPABILITY = 40
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


def give(path: Path) -> Path:
    """To the container's root."""
    os.chown(path, users.FIRST, users.FIRST, follow_symlinks=False)
    return path


class Box:
    """A root directory with the host's programs, and what a start would hand to the stage."""

    def __init__(self, address: str, directory: Path) -> None:
        self.address = address
        self.outside = directory
        self.root = directory / "root"
        self.root.mkdir(mode=0o755)
        for name, target in LINKS.items():
            (self.root / name).symlink_to(target)
        for name in ("usr", "etc", "tmp", ""):
            (self.root / name).mkdir(exist_ok=True)
            give(self.root / name)

    def spec(self, script: str, **changes: Any) -> Spec:
        usr = Bind(HostPath("/usr", 0, 0), "/usr", read_only=True)
        base = Spec(
            name="box", rootfs=Rootfs(str(self.root), 0, 0), command=("/bin/sh", "-c", script),
            security=loose(),
        )  # fmt: skip
        return replace(base, **{**changes, "binds": (usr, *changes.get("binds", ()))})

    def run(self, script: str, **changes: Any) -> str:
        """Output and errors. The plan is the real one, but for the cgroup, which takes systemd."""
        found: list[str] = []

        async def act(client: Spawner) -> None:
            spec = self.spec(script, **changes)
            with ExitStack() as opened:
                view = await client.user_namespace(IDS)
                opened.callback(os.close, view)
                descriptors = self._descriptors(spec, view)
                for descriptor in descriptors.values():
                    opened.callback(os.close, descriptor)
                text, _ = await output_of(client, _plan(spec), descriptors)
                found.append(text)

        conducted(self.address, act)
        return found[0]

    def _descriptors(self, spec: Spec, view: int) -> dict[str, int]:
        made = {"root": clone(self.root)}
        made |= etc.write(str(self.outside / "files"), etc.contents(spec, ""), users.FIRST, read_only=spec.read_only)
        for number, bind in enumerate(spec.binds):
            source = os.open(bind.source.path, os.O_PATH)
            shown = None if number == 0 else view
            made[planner.bind_name(number)] = rootfs.host_mount(
                source, shown, read_only=bind.read_only, recursive=bind.recursive
            )
            os.close(source)
        if spec.init:
            made[planner.INIT] = reaper.open_reaper()
        return made


def clone(path: Path) -> int:
    opened = os.open(path, os.O_PATH)
    try:
        return mount.clone_tree(opened)
    finally:
        os.close(opened)


def _plan(spec: Spec) -> Plan:
    steps = planner.plan(spec, last_capability=LAST_CAPABILITY).steps
    return Plan(tuple(s for s in steps if "cgroup" not in s.operation and "cgroup2" not in s.does))


def bind(source: Path, target: str, **how: bool) -> Bind:
    return Bind(HostPath(str(source), 0, 0), target, **how)


def loose(**changes: Any) -> Security:
    """Without the filter, which other tests are about."""
    return Security(seccomp="unconfined", **changes)
