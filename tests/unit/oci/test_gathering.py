# SPDX-License-Identifier: GPL-3.0-or-later
"""Code in one file is the code of the sources, or it is not used."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = Path(__file__).parents[3] / "service"
PYTHON = "/usr/bin/python3"
GATHER = "from mctld.oci import gathering; gathering.write({file!r})"
# As launch.run() does it; then, of what is imported, what was found in that file.
USE = """
import sys
sys.path.append({service!r})
from mctld.oci import launch
sys.path.append(launch.DEBIANS)
launch.use({file!r})
{then}
from mctld.oci import lean
lean.load()
import mctld.oci.__main__, mctld.oci.commands.run, mctld.oci.cgroup.bus
specs = {{name: getattr(module, "__spec__", None) for name, module in sys.modules.items()}}
found = [name for name, spec in specs.items() if spec and type(spec.loader) is launch.Gathered]
others = [name for name in specs if name.partition(".")[0] == "mctld" and name not in found]
print(repr([found, others, mctld.oci.__main__.FAILED]))
"""


class Checkout:
    """Of the service, with what is gathered of it."""

    def __init__(self, directory: Path) -> None:
        self.service = directory / "service"
        shutil.copytree(SERVICE, self.service, ignore=shutil.ignore_patterns("__pycache__", "images", "lifecycle"))
        self.file = directory / "gathered"

    def gather(self) -> None:
        command = [PYTHON, "-c", GATHER.format(file=str(self.file))]
        subprocess.run(command, cwd=self.service, timeout=120, check=True)

    def use(self, then: str = "") -> tuple[set[str], set[str], int]:
        """Modules that were found in the file, those of ours that were not, and FAILED of one of them."""
        command = [PYTHON, "-IS", "-c", USE.format(file=str(self.file), service=str(self.service), then=then)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found, others, failed = ast.literal_eval(done.stdout)
        return set(found), set(others), failed


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    made.gather()
    yield made
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("gathered")] in ([], ["gathered"])


def test_all_that_a_run_imports_is_found_in_one_file(checkout: Checkout) -> None:
    found, others, failed = checkout.use()
    assert {"mctld.oci.creation", "mctld.kernel.process", "mctld.oci.cgroup.bus", "socket", "ctypes"} <= found
    assert others == {"mctld", "mctld.oci", "mctld.oci.launch"}  # what leads there
    assert failed == 1


def test_nothing_is_looked_for_in_directories(checkout: Checkout) -> None:
    """Libraries neither: to find two of them takes as long as twenty modules of ours."""
    found, _, _ = checkout.use(then="kept, sys.path[:] = sys.path[:], []")
    assert "mctld.oci.creation" in found


def test_a_source_that_has_changed_since_counts(checkout: Checkout) -> None:
    source = checkout.service / "mctld" / "oci" / "__main__.py"
    source.write_text(source.read_text().replace("\nFAILED = 1\n", "\nFAILED = 77\n"))
    found, others, failed = checkout.use()
    assert failed == 77
    assert "mctld.oci.__main__" in others
    assert "mctld.oci.creation" in found


def test_a_file_that_was_cut_off_is_not_used(checkout: Checkout) -> None:
    whole = checkout.file.read_bytes()
    checkout.file.write_bytes(whole[:-1])
    assert checkout.use()[0] == set()


@pytest.mark.parametrize("content", [None, b"", b"\xff no code", b"N", bytes(4096)])
def test_without_a_good_file_all_is_found_as_usual(checkout: Checkout, content: bytes | None) -> None:
    checkout.file.unlink()
    if content is not None:
        checkout.file.write_bytes(content)
    found, others, _ = checkout.use()
    assert found == set()
    assert "mctld.oci.creation" in others
