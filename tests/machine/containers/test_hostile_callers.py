# SPDX-License-Identifier: GPL-3.0-or-later
"""Users who flood the service, send it what is no message, leave in the middle: nobody else notices, nothing grows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from machine import hostile

from .conftest import RELOAD, RULE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

SCRIPT = Path(hostile.__file__).read_text()
GROWTH_MAX = 5 << 10  # KiB
EVERYTHING = """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.mctl1.") == 0 && subject.user == "alice") return polkit.Result.YES;
});
"""
DROP_IN = "/etc/mctl/mctld.conf.d/50-hostile.conf"


def play(mctl: Mctl, *words: str, user: str, timeout: float = 60) -> Any:
    found = mctl.machine.run(["python3", "-c", SCRIPT, *words], user=user, timeout=timeout)
    return json.loads(found.stdout)


def memory(mctl: Mctl, field: str = "VmRSS") -> int:
    """KiB of the service."""
    return int(mctl.shell(f"awk '/^{field}:/ {{ print $2 }}' /proc/{mctl.service_pid()}/status").text)


def descriptors(mctl: Mctl) -> int:
    return int(mctl.shell(f"ls /proc/{mctl.service_pid()}/fd | wc -l").text)


@pytest.fixture
def few_a_second(mctl: Mctl) -> Iterator[Mctl]:
    """So few that the slowest machine comes to the bound."""
    mctl.machine.write(DROP_IN, "[Limits]\nCallsPerSecond=20\n")
    mctl.shell("systemctl restart mctld")
    yield mctl
    mctl.shell("rm -r /etc/mctl; systemctl restart mctld")


@pytest.mark.parametrize("calls", [2_000, pytest.param(20_000, marks=pytest.mark.siege)])
def test_a_flood_leaves_room_for_others(few_a_second: Mctl, calls: int) -> None:
    """alice's calls are refused beyond her share, and each of bob's is answered meanwhile."""
    mctl = few_a_second
    mctl.machine.write("/tmp/hostile.py", SCRIPT)
    begin = f"runuser -u alice -- python3 /tmp/hostile.py flood {calls} > /tmp/flood &"
    both = f"{begin} runuser -u bob -- python3 /tmp/hostile.py beside {calls // 100}; wait; cat /tmp/flood"
    bob, alice = map(json.loads, mctl.shell(both, timeout=120).text.splitlines())
    print("ms of bob's calls:", bob)
    assert alice["answered"] >= 200  # what may come at once
    assert alice["answered"] + alice["refused"] == calls
    assert alice["refused"] > 0
    mctl.shell("rm /tmp/hostile.py /tmp/flood")


def test_what_is_no_message(mctl: Mctl) -> None:
    pid = mctl.service_pid()
    sent = play(mctl, "malformed", user="alice")
    assert len(sent) >= 16
    assert mctl.service_pid() == pid


def test_a_text_of_30_mib_is_not_kept(mctl: Mctl) -> None:
    mctl("ps")
    before = memory(mctl)
    mctl.shell(f"echo 5 > /proc/{mctl.service_pid()}/clear_refs")  # VmHWM begins anew: proc(5)
    answers = play(mctl, "big", "30", user="alice")
    assert answers == ["org.freedesktop.DBus.Error.LimitsExceeded"] * 2
    assert memory(mctl, "VmHWM") - before < GROWTH_MAX


@pytest.mark.parametrize("rounds", [10, pytest.param(50, marks=pytest.mark.siege)])
def test_who_leaves_during_a_check_has_got_nothing(mctl: Mctl, rounds: int) -> None:
    mctl("ps")
    held = descriptors(mctl)
    assert play(mctl, "leave", str(rounds), user="alice", timeout=60 + rounds * 4) == {"left": rounds * 21}
    assert mctl("ps", "-a", "-q").text == ""
    assert descriptors(mctl) == held
    assert "left-" not in mctl.shell("ls /run/systemd/transient").text


@pytest.fixture
def unbounded(mctl: Mctl) -> Iterator[Mctl]:
    """alice may do everything, as often as she likes."""
    mctl.machine.write(DROP_IN, "[Limits]\nCallsPerSecond=infinity\n")
    mctl.machine.run(["sh", "-c", f"cat > {RULE_FILE}; {RELOAD}; systemctl restart mctld"], input=EVERYTHING.encode())
    yield mctl
    leave = "mctl rm -f -v web; mctl volume prune -a; mctl network prune; mctl image prune -a"
    mctl.shell(f"runuser -u alice -- sh -c '{leave}'; rm -r /etc/mctl {RULE_FILE}; {RELOAD}; systemctl restart mctld")
    mctl.shell("systemctl reset-failed mctl@web.service", check=False)


def fuzz(mctl: Mctl, seconds: int, *, furnished: bool = False) -> int:
    """KiB that the service has grown by."""
    mctl("run", "-d", "--name", "web", "--network", "none", "/srv/alice", "sleep", "1000", user="alice")
    pid = mctl.service_pid()
    told = play(
        mctl, "fuzz", str(seconds), "2", str(pid), str(int(furnished)), user="alice", timeout=seconds * 2 + 150
    )
    print(told)
    assert told["calls"] > told["answered"] > 0
    assert mctl.service_pid() == pid
    return int(told["grown"])


def test_any_calls_of_any_arguments(unbounded: Mctl) -> None:
    """A few seconds, for what is to be told of in the journal and for what is left behind."""
    fuzz(unbounded, 3)


@pytest.mark.siege
@pytest.mark.parametrize("furnished", [False, True])
@pytest.mark.allow_journal(r"mctl@web\.service: .*")  # Enable may start it by its unit, which fails when it is killed
def test_any_calls_for_a_minute_cost_no_memory(unbounded: Mctl, *, furnished: bool) -> None:
    assert fuzz(unbounded, 60, furnished=furnished) < GROWTH_MAX


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.siege)])
def test_names_and_texts_of_any_characters(mctl: Mctl, count: int) -> None:
    """What is taken fits the grammar; what systemd has been told of otherwise is nothing."""
    units = "ls -A /run/systemd/transient /run/systemd/system /etc/systemd/system | sort"
    before = mctl.shell(units).text
    found = play(mctl, "names", str(count), "3", user="root", timeout=count * 0.5 + 60)
    print({**found, "taken": len(found["taken"])})
    assert all(re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", name) for name in found["taken"])
    assert found["taken"]
    assert set(found["errors"]) == {"org.freedesktop.DBus.Error.InvalidArgs"}
    found = play(mctl, "texts", str(count), "4", user="root", timeout=count * 0.5 + 60)
    print({**found, "taken": len(found["taken"])})
    assert found["taken"]
    assert set(found["errors"]) <= {"org.freedesktop.DBus.Error.InvalidArgs", "org.mctl1.Error.SetupFailed"}
    assert mctl("ps", "-a", "-q").text == ""
    assert mctl.shell(units).text == before
