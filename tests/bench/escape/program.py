# SPDX-License-Identifier: GPL-3.0-or-later
"""The escape probes in every engine, side by side in one throw-away machine. A comparison, not a test."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.escape import table
from bench.machine import CODE, Bench
from machine import host
from machine.escape import root
from machine.image import DISTROS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    host.require_root()
    machine = Bench(options.distro, peers=True)
    with machine:
        machine.prepare()
        machine.push(Path(root.__file__).parent, f"{CODE}/machine/escape")
        root.make(machine)
        report = run(machine)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table.lines(report, everything=options.all)))
    host.say(f"all outcomes: {options.json}")
    return 0


def run(machine: Bench) -> dict[str, Any]:
    python = ["env", f"PYTHONPATH={CODE}", "/usr/bin/python3", "-B", "-P", "-m", "bench.escape.inside"]
    done = subprocess.run(machine.outer(python), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, env={})
    if done.returncode:
        raise host.HostError(f"the comparison ended with {done.returncode}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/walls", description=__doc__)
    parser.add_argument("--distro", choices=DISTROS, default=DISTROS[0])
    parser.add_argument("--all", action="store_true", help="also what every engine holds")
    parser.add_argument("--json", type=Path, default=host.TREE / "dist" / "walls.json", metavar="FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
