# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service says on standard error: the priority before each line, and no more than was asked for."""

from __future__ import annotations

import io
import logging
import os
from typing import TYPE_CHECKING

import pytest

from mctld.reporting import LEVELS, Prefixed, Reporting, is_journal, priority

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """In place of standard error; the root logger is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:], root.level = handlers, level


def test_each_line_has_its_priority(said: io.StringIO) -> None:
    Reporting("journal", said)
    log = logging.getLogger("mctld.test")
    log.info("one\n<0>two")
    log.debug("not asked for")
    try:
        raise ValueError("three")
    except ValueError:
        log.exception("failed")
    lines = said.getvalue().splitlines()
    assert lines[:3] == ["<6>one", "<6><0>two", "<3>failed"]
    assert lines[-1] == "<3>ValueError: three"
    assert all(line.startswith("<3>") for line in lines[2:])


@pytest.mark.parametrize(
    ("level", "told"),
    [("emerg", 1), ("crit", 1), ("err", 2), ("warning", 3), ("notice", 3), ("info", 4), ("debug", 5)],
)
def test_levels(said: io.StringIO, level: str, told: int) -> None:
    reporting = Reporting("console", said)
    reporting.level = level
    log = logging.getLogger("mctld.test")
    for each in (log.critical, log.error, log.warning, log.info, log.debug):
        each("x")
    assert said.getvalue() == "x\n" * told
    assert reporting.level == level


def test_targets(said: io.StringIO) -> None:
    reporting = Reporting("null", said)
    log = logging.getLogger("mctld.test")
    log.critical("nobody hears it")
    reporting.target = "journal"
    log.critical("heard")
    reporting.target = "console"
    log.critical("plain")
    assert said.getvalue() == "<2>heard\nplain\n"


def test_priorities_are_those_of_syslog() -> None:
    names = ("crit", "err", "warning", "notice", "info", "debug")
    assert [priority(LEVELS[name]) for name in names] == [2, 3, 4, 5, 6, 7]
    assert Prefixed().format(logging.makeLogRecord({"levelno": 1, "msg": "x"})) == "<7>x"


def test_the_journal_is_known_by_its_stream() -> None:
    reading, writing = os.pipe()
    told = os.fstat(writing)
    assert is_journal(writing, {"JOURNAL_STREAM": f"{told.st_dev}:{told.st_ino}"})
    assert not is_journal(writing, {"JOURNAL_STREAM": f"{told.st_dev}:{told.st_ino + 1}"})
    assert not is_journal(writing, {})
    os.close(reading)
    os.close(writing)
