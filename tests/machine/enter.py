# SPDX-License-Identifier: GPL-3.0-or-later
"""One long-lived machine to develop in: booted once, entered many times."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from machine import host
from machine.image import DISTROS
from machine.nspawn import Nspawn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    host.require_root()
    machine = Nspawn(options.distro, name=f"enter-{options.distro}", keep=True)
    if options.stop:
        machine.close()
        return 0
    fresh = options.fresh or not machine.attach()
    if fresh:
        machine.boot()
    if fresh or options.install:
        install(machine)
    if options.command:
        return machine.interact(options.command, user=options.user)
    return machine.shell() if sys.stdin.isatty() else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/machine/enter", description=__doc__)
    parser.add_argument("--distro", choices=DISTROS, default=DISTROS[0])
    parser.add_argument("--fresh", action="store_true", help="boot anew, from the clean base image")
    parser.add_argument("--install", action="store_true", help="build this tree's .deb and install it again")
    parser.add_argument("--stop", action="store_true", help="end the machine")
    parser.add_argument("--user", metavar="NAME", help="run the command as this user (alice, bob)")
    parser.add_argument("command", nargs="*", help="a command (after --); none: a shell")
    return parser.parse_args(arguments)


def install(machine: Nspawn) -> None:
    deb = build()
    if deb:
        machine.install(deb)


def build() -> Path | None:
    """The .deb of this tree; None (said aloud) while the tree cannot be built."""
    done = subprocess.run([host.TREE / "packaging" / "build"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        host.say("packaging/build failed: nothing is installed")
        return None
    return host.TREE / done.stdout.decode().split()[-1]


if __name__ == "__main__":
    sys.exit(main())
