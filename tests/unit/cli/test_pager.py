# SPDX-License-Identifier: GPL-3.0-or-later
"""What is longer than the terminal goes through a pager, and nothing else does."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from typing import TYPE_CHECKING, Any

import pytest

from unit.cli.conftest import LAUNCHER

if TYPE_CHECKING:
    from unit.cli.fake_service import FakeService

PAGER = "sed 's/^/> /'"


def on_terminal(environment: dict[str, str], *words: str, rows: int = 10, **more: str) -> str:
    """What is seen on a terminal of so many rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, 80, 0, 0))
    everything = environment | {"TERM": "xterm"} | more
    with subprocess.Popen([LAUNCHER, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=everything) as process:
        os.close(theirs)
        seen = b""
        try:
            while data := os.read(ours, 4096):
                seen += data
        except OSError:  # EIO: the last writer is gone
            pass
        assert process.wait(20) == 0
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


@pytest.fixture
def many(service: FakeService) -> FakeService:
    for number in range(12):
        service.add(f"box{number}", State=("s", "running"))
    return service


@pytest.mark.parametrize("variables", [{"PAGER": PAGER}, {"SYSTEMD_PAGER": PAGER, "PAGER": "false"}])
def test_long_lists_are_paged(environment: dict[str, str], many: FakeService, variables: dict[str, Any]) -> None:
    seen = on_terminal(environment, "ps", **variables)
    assert seen.startswith("> NAME")
    assert seen.count("> box") == 12


@pytest.mark.parametrize(
    ("words", "rows", "variables"),
    [
        (("ps",), 40, {"PAGER": PAGER}),
        (("--no-pager", "ps"), 10, {"PAGER": PAGER}),
        (("ps", "--no-pager"), 10, {"PAGER": PAGER}),
        (("ps",), 10, {"PAGER": ""}),
        (("ps",), 10, {"SYSTEMD_PAGER": "cat", "PAGER": PAGER}),
        (("ps",), 10, {"PAGER": PAGER, "TERM": "dumb"}),
        (("ps",), 10, {"PAGER": "no-such-pager-at-all 2>/dev/null"}),
    ],
)
def test_others_are_not(
    environment: dict[str, str], many: FakeService, words: tuple[str, ...], rows: int, variables: dict[str, Any]
) -> None:
    seen = on_terminal(environment, *words, rows=rows, **variables)
    assert seen.startswith("NAME")
    assert seen.count("\nbox") == 12


def test_a_pager_that_is_left_early_is_no_failure(environment: dict[str, str], many: FakeService) -> None:
    assert on_terminal(environment, "ps", PAGER="head -n 2").count("box") == 1


def test_a_pager_gives_nobody_a_shell(environment: dict[str, str], many: FakeService) -> None:
    assert on_terminal(environment, "ps", PAGER="echo secure=$LESSSECURE", LESSSECURE="0") == "secure=1\n"
