# SPDX-License-Identifier: GPL-3.0-or-later
"""A defence that can be taken away without a test failing is not one: this takes each of them away."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from defences.building import BUILDING
from defences.fairness import FAIRNESS
from defences.images import IMAGES
from defences.networks import NETWORKS
from defences.order import ORDER
from defences.strangers import STRANGERS
from defences.table import DEFENCES
from defences.updates import UPDATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from defences.table import Defence

ALL = (*DEFENCES, *NETWORKS, *FAIRNESS, *IMAGES, *BUILDING, *STRANGERS, *UPDATES, *ORDER)
ROOT = Path(__file__).parents[2]
TREE = ("service", "cli", "dbus", "polkit", "units", "packaging", "tests", "pyproject.toml")
SECONDS = 180
FAILED = 1  # pytest's exit status where a test failed; others mean that nothing was tried


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    chosen = [defence for defence in ALL if options.k in f"{defence.keeps} {defence.file}"]
    if options.list:
        for defence in chosen:
            print(f"{defence.keeps}\n    {defence.file}, seen by {defence.tests}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mctl-defences-") as directory:
        copy = Path(directory)
        for name in TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        missed = [defence for defence in chosen if not is_missed(defence, copy)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} defences are missed by a test when they are not there")
    return 1 if missed or not chosen else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/defences/run", description=__doc__)
    parser.add_argument("-k", metavar="WORD", default="", help="only those whose sentence or file has this word")
    parser.add_argument("--list", action="store_true", help="say what there is, and try nothing")
    return parser.parse_args(arguments)


def is_missed(defence: Defence, copy: Path) -> bool:
    """Whether a test fails without it."""
    file = copy / defence.file
    whole = file.read_text()
    file.write_text(defence.taken_from(whole))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider",
             *shlex.split(defence.tests)],
            cwd=copy, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        status = done.returncode
        missed = status == FAILED and " failed" in done.stdout  # Python ends so too where it has no pytest
    except subprocess.TimeoutExpired:
        missed = True  # it waits for ever where the defence let it go on
    finally:
        file.write_text(whole)
    verdict = "missed" if missed else f"NOT MISSED (pytest ended with {status})"
    print(f"{verdict:8} {defence.keeps}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
