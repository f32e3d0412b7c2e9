# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures mctl and the engines that users compare it with, side by side in one throw-away machine."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench import table
from bench.figures import Report
from bench.machine import Bench
from machine import host
from machine.image import DISTROS

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURES = ("true", "execution", "service", "parallel", "running", "calls", "crowd", "images", "journal")
NETWORK = "network"  # only where it is asked for, with --peers: it takes packages that nothing else does


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    host.require_root()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    machine = Bench(options.distro, peers=options.peers, network=NETWORK in (options.only or ()))
    with machine:
        machine.prepare()
        report = machine.measure(options.only or MEASURES, options.runs)
    report["machine"] |= {"tree": tree(), "began": began}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print("\n".join(table.lines(Report.from_json(report))))
    host.say(f"all values: {options.json}")
    return 0


def tree() -> str:
    """Which commit was measured; a tree without git has none."""
    git = ["git", "-c", "safe.directory=*", "-C", str(host.TREE), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--distro", choices=DISTROS, default=DISTROS[0])
    parser.add_argument("--peers", action="store_true", help="with Debian's other engines in the machine")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="rounds of the cheap measures (20)")
    known = (*MEASURES, NETWORK)
    parser.add_argument("--only", choices=known, action="append", help="only this measure (may be repeated)")
    parser.add_argument("--json", type=Path, default=host.TREE / "dist" / "bench.json", metavar="FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
