# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of SetUnitProperties go with what they were written for, and only they."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.systemd import overrides

if TYPE_CHECKING:
    from pathlib import Path

UNIT = "mctl@web.service"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(overrides, "CONTROL", str(tmp_path))
    return tmp_path / f"{UNIT}.d"


def write(directory: Path, name: str, text: str) -> None:
    """As PID 1: a new file takes the place of the old one."""
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.new").write_text(text)
    (directory / f"{name}.new").rename(directory / name)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_is_written_within_goes_and_the_directory_with_it(directory: Path) -> None:
    with overrides.withdrawn(UNIT):
        write(directory, "50-TasksMax.conf", "ours")
    assert not directory.exists()


def test_what_an_administrator_has_set_before_stays_unless_it_was_replaced(directory: Path) -> None:
    for name in ("50-Nice.conf", "50-TasksMax.conf"):
        write(directory, name, "theirs")
    with overrides.withdrawn(UNIT):
        write(directory, "50-TasksMax.conf", "ours")
        write(directory, "50-MemoryMax.conf", "ours")
    assert names(directory) == ["50-Nice.conf"]


def test_a_failure_leaves_nothing_either(directory: Path) -> None:
    def fail() -> None:
        with overrides.withdrawn(UNIT):
            write(directory, "50-TasksMax.conf", "ours")
            raise ValueError("PID 1 has changed its mind")

    with pytest.raises(ValueError, match="PID 1"):
        fail()
    assert not directory.exists()


def test_units_without_files_are_no_error(directory: Path) -> None:
    with overrides.withdrawn("mctl-web.scope"):
        pass
    overrides.remove("mctl-web.scope")


def test_with_the_container_all_go(directory: Path) -> None:
    write(directory, "50-Nice.conf", "theirs")
    overrides.remove(UNIT)
    assert not directory.exists()
