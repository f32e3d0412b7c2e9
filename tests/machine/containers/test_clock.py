# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock is set, forward and back, while containers wait, are checked and print: nothing is late, lost or early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_supervision import KILLED, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

SAY = "while :; do [ -e /say ] && cat /say && rm /say; sleep 0.1; done"
HOUR = 3600
PATIENCE = 120  # seconds; emulated, and no wait in here is longer than a few


@pytest.fixture
def shift(mctl: Mctl) -> Iterator[Callable[[int], None]]:
    """Sets the machine's clock by so many seconds, and back at the end."""
    done: list[int] = []

    def by(seconds: int) -> None:
        mctl.shell(f"date -s @$(($(date +%s) + {seconds}))")
        done.append(seconds)

    yield by
    by(-sum(done))


def say(mctl: Mctl, word: str, *since: str) -> list[str]:
    """All that is then in the log."""
    mctl("exec", "web", "sh", "-c", f"echo {word} > /saying; mv /saying /say")
    until(lambda: word in mctl("logs", *since, "web").text.split(), PATIENCE)
    return mctl("logs", *since, "web").text.split()


def await_health(mctl: Mctl, health: str) -> None:
    until(lambda: mctl.properties("web")["Health"] == health, PATIENCE)


@pytest.mark.qemu  # its clock is its own
@pytest.mark.siege  # what else runs in the machine may take its time to get over it
@pytest.mark.allow_journal(KILLED, r"Container web is unhealthy", r"[Tt]ime (jumped|stepped)|clock")
@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_set_misleads_nobody(mctl: Mctl, shift: Callable[[int], None], hours: int) -> None:
    checked = ["--health-cmd", "! test -e /hung", "--health-interval", "1s", "--health-retries", "1"]
    mctl.run("sh", "-c", SAY, options=["-d", "--name", "web", *checked])
    mctl.run("false", options=["-d", "--name", "flap", "--restart", "always"])
    await_health(mctl, "healthy")
    until(lambda: mctl.properties("flap")["RestartCount"] >= 3, PATIENCE)
    assert say(mctl, "before") == ["before"]

    shift(hours * HOUR)
    now = mctl.shell("date +@%s").text.strip()
    count = mctl.properties("flap")["RestartCount"]
    until(lambda: mctl.properties("flap")["RestartCount"] > count, PATIENCE)
    mctl.kill_service()  # what waits is read from the store, with a time of day
    count = mctl.properties("flap")["RestartCount"]
    until(lambda: mctl.properties("flap")["RestartCount"] > count, PATIENCE)
    mctl("rm", "-f", "flap")

    mctl("exec", "web", "touch", "/hung")
    await_health(mctl, "unhealthy")
    mctl("exec", "web", "rm", "/hung")
    await_health(mctl, "healthy")

    seen = say(mctl, "after", "--since", now)
    assert seen == (["after"] if hours > 0 else ["before", "after"])  # by its time, that is still to come
    assert mctl("logs", "web").text.split() == ["before", "after"]  # in the order in which it was said
    mctl("stop", "-t", "1", "web")
    end = mctl.properties("web")
    assert (end["State"], end["ExitHow"], end["ExitStatus"]) == ("exited", "killed", 9)
