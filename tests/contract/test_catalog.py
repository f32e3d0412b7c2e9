# SPDX-License-Identifier: GPL-3.0-or-later
"""Every entry of the journal that programs may look for is explained, to people and in mctld(8)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "packaging" / "mctl.catalog"
SOURCES = "".join(path.read_text() for path in (ROOT / "service" / "mctld").rglob("*.py"))
IDS = {found.replace("-", "") for found in re.findall(r'uuid\.UUID\("([0-9a-f-]+)"\)', SOURCES)}


def test_all_message_ids_are_explained_once() -> None:
    explained = re.findall(r"^-- (\S+)$", CATALOG.read_text(), re.MULTILINE)
    assert len(IDS) > 5
    assert sorted(explained) == sorted(IDS)


def test_explanations_name_fields_that_are_sent() -> None:
    fields = set(re.findall(r"@(\w+)@", CATALOG.read_text()))
    assert fields
    assert {field for field in fields if f"{field}=" not in SOURCES} == set()


def test_all_message_ids_but_that_of_a_start_are_in_the_manual() -> None:
    page = (ROOT / "packaging" / "man" / "mctld.8").read_text()
    ready = "0d4c2e6a6d8b4c57b3c5d0a3f58e8c11"
    assert {found for found in IDS if found not in page} <= {ready}


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="there is no journalctl")
def test_the_catalog_can_be_compiled(tmp_path: Path) -> None:
    place = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    place.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    shutil.copy(CATALOG, place)
    done = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    listed = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--list-catalog"], capture_output=True, text=True, check=False
    )
    assert {line.split(" ")[0] for line in listed.stdout.splitlines()} == IDS, listed
