# SPDX-License-Identifier: GPL-3.0-or-later
"""How mctl-oci comes to run from a read-only interpreter: by mctl-seal, before there is one; else by launch.py."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from kernel.oci.conftest import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

TREE = PROGRAM.parents[2]
SEAL = "def seal(program: str) -> None:\n"
SAID = "executed a second time"
WITHOUT = ("setpriv", "--bounding-set", "-sys_admin")  # what it takes to make a mount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="who may not write to the interpreter needs no other")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says so where Python has to execute itself again."""
    copy = tmp_path_factory.mktemp("checkout")
    skipped = shutil.ignore_patterns("__pycache__", "images", "lifecycle", "bus")
    for name in ("service", "cli/bin"):
        shutil.copytree(TREE / name, copy / name, ignore=skipped)
    launch = copy / "service/mctld/oci/launch.py"
    source = launch.read_text()
    assert SEAL in source
    launch.write_text(source.replace(SEAL, f"{SEAL}    sys.exit({SAID!r})\n"))
    return copy / "cli/bin" / PROGRAM.name


def said(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("words", [("create",), ("run",), ("--log-format", "text", "run")])
def test_one_interpreter_starts(program: Path, words: tuple[str, ...]) -> None:
    assert "no such bundle/config.json" in said(str(program), *words, "--bundle", "/no such bundle", "one")


@pytest.mark.parametrize(("typed", "above"), [("./mctl-oci", 0), ("bin/mctl-oci", 1), ("cli/bin/mctl-oci", 2)])
def test_a_checkout_is_found_by_a_relative_path_too(program: Path, typed: str, above: int) -> None:
    command = [*WITHOUT, typed, "run", "--bundle", "/nowhere", "one"]
    done = subprocess.run(command, cwd=program.parents[above], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == f"{SAID}\n"  # which is in this checkout alone


def test_python_sees_to_it_where_the_mount_cannot_be_made(program: Path) -> None:
    assert said(*WITHOUT, str(program), "run", "--bundle", "/nowhere", "one") == f"{SAID}\n"


def test_what_enters_nothing_is_not_sealed(program: Path) -> None:
    assert "does not exist" in said(*WITHOUT, str(program), "start", "one")


def test_the_callers_perl_and_locale_change_nothing(program: Path) -> None:
    """What it prints may end up in a container's log."""
    odd = {"LC_ALL": "xx_XX.UTF-8", "PERL5OPT": "-Mno::such::module", "PERL5LIB": "/nowhere"}
    plain = said(str(program), "run", "--bundle", "/nowhere", "one")
    assert said(str(program), "run", "--bundle", "/nowhere", "one", **odd) == plain
    assert plain.count("\n") == 1
