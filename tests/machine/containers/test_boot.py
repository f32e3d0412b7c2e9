# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as services of the host: mctl@NAME.service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .test_logs import await_line, follow, has_followed

if TYPE_CHECKING:
    from .conftest import Mctl

POLITE = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done"
KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)"
FAILED = r"mctl@\S+: (Failed with result|Main process exited|Control process exited|Killing process).*"
NOT_STARTED = r"Failed to start mctl@.*|Container \S+ is not started: .*|Call failed: .*"


def show(mctl: Mctl, name: str, *properties: str) -> list[str]:
    return [mctl.shell(f"systemctl show -P {prop} mctl@{name}").text.strip() for prop in properties]


def create(mctl: Mctl, name: str, script: str = POLITE, *options: str, user: str | None = None) -> None:
    rootfs = "/srv/alice" if user else mctl.rootfs
    mctl("create", "--name", name, "--network", "none", *options, rootfs, "sh", "-c", script, user=user)


def wait_for(mctl: Mctl, name: str, state: str) -> None:
    deadline = time.monotonic() + 10
    while mctl.properties(name)["State"] != state:
        assert time.monotonic() < deadline, f"{name} does not become {state}"
        time.sleep(0.05)


def greeted(mctl: Mctl, name: str, times: int = 1) -> None:
    """From now on it hears its signal."""
    mctl.until(f"[ $(mctl logs {name} | grep -c hello) = {times} ]")


def unit_lines(mctl: Mctl, name: str) -> list[str]:
    return [entry["MESSAGE"] for entry in mctl.journal("-b", "-u", f"mctl@{name}")]


@pytest.mark.usefixtures("alice_may_create")
def test_a_users_container_is_a_service_of_the_host(mctl: Mctl) -> None:
    create(mctl, "web", user="alice")
    assert mctl("enable", "web", user="alice").text == "web\n"
    assert mctl.properties("web")["Enabled"] is True
    assert mctl.shell("systemctl is-enabled mctl@web").text == "enabled\n"
    mctl("start", "web", user="alice")
    found = mctl.properties("web")
    assert found["Unit"] == "mctl@web.service"
    assert found["ControlGroup"] == "/mctl.slice/mctl-u1000.slice/mctl@web.service"
    state, main, group = show(mctl, "web", "ActiveState", "MainPID", "ControlGroup")
    assert (state, int(main), group) == ("active", found["MainPID"], found["ControlGroup"])
    status = mctl.shell(f"cat /proc/{main}/status; cat /sys/fs/cgroup{group}/cgroup.procs").text
    assert "\nPPid:\t1\n" in status  # a child of PID 1, which alone hears of its end
    mctl("stop", "web", user="alice")
    assert show(mctl, "web", "ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]
    assert {"hello", "bye"} <= set(unit_lines(mctl, "web"))
    assert mctl("logs", "web", user="alice").text == "hello\nbye\n"


@pytest.mark.usefixtures("alice_may_create")
def test_systemctl_alone_enables_and_starts_it_in_its_owners_slice(mctl: Mctl) -> None:
    create(mctl, "web", user="alice")
    mctl.shell("systemctl enable --now mctl@web")
    assert show(mctl, "web", "ControlGroup") == ["/mctl.slice/mctl-u1000.slice/mctl@web.service"]
    assert mctl.properties("web")["State"] == "running"
    mctl.shell("systemctl stop mctl@web")
    assert mctl.properties("web")["State"] == "exited"


@pytest.mark.allow_journal(FAILED)
def test_the_exit_status_is_the_units(mctl: Mctl) -> None:
    for status in (0, 3, 143):
        create(mctl, f"ends-{status}", f"exit {status}")
        # Where it fails before the launcher has ended, the start has failed.
        mctl.shell(f"systemctl start mctl@ends-{status}", check=status != 3)
        wait_for(mctl, f"ends-{status}", "exited")
        assert mctl.properties(f"ends-{status}")["ExitStatus"] == status
    assert show(mctl, "ends-3", "ActiveState", "ExecMainStatus", "Result") == ["failed", "3", "exit-code"]
    assert mctl.shell("systemctl is-failed mctl@ends-0 mctl@ends-143", check=False).text == "inactive\ninactive\n"


@pytest.mark.allow_journal(FAILED, NOT_STARTED)
def test_what_cannot_start_says_why_in_its_units_journal(mctl: Mctl) -> None:
    mctl("create", "--name", "bad", mctl.rootfs, "nosuch")
    assert mctl.shell("systemctl start mctl@bad mctl@nobody", check=False).returncode == 1
    assert any("command 'nosuch' does not exist" in line for line in unit_lines(mctl, "bad"))
    assert any("there is no container 'nobody'" in line for line in unit_lines(mctl, "nobody"))
    assert mctl.properties("bad")["State"] == "created"
    mctl.shell("systemctl reset-failed mctl@nobody")
    mctl.shell("cp -a /srv/root /srv/moved")
    mctl("create", "--name", "homeless", "/srv/moved", "true")
    mctl.shell("rm -r /srv/moved; ! systemctl start mctl@homeless")
    assert any("/srv/moved" in line and "not started" in line for line in unit_lines(mctl, "homeless"))


@pytest.mark.allow_journal(FAILED, NOT_STARTED)
def test_a_scope_goes_on_and_the_unit_waits_for_its_end(mctl: Mctl) -> None:
    create(mctl, "web")
    mctl("start", "web")
    mctl("enable", "web")
    assert mctl.shell("systemctl start mctl@web", check=False).returncode == 1
    assert any("is running already, in mctl-web.scope" in line for line in unit_lines(mctl, "web"))
    assert mctl.properties("web")["Unit"] == "mctl-web.scope"
    mctl("stop", "web")
    mctl("start", "web")
    assert mctl.properties("web")["Unit"] == "mctl@web.service"


@pytest.mark.allow_journal(KILLED, FAILED)
def test_the_service_may_die_meanwhile(mctl: Mctl) -> None:
    create(mctl, "web")
    create(mctl, "short", "sleep 3; exit 7")
    mctl.shell("systemctl start mctl@web mctl@short")
    before = mctl.properties("web")
    mctl.shell(f"systemctl stop mctl-spawner.service; kill -9 {mctl.service_pid()}; systemctl stop mctld")
    mctl.until("[ $(systemctl show -P MainPID mctl@short) = 0 ]")
    assert show(mctl, "short", "ExecMainStatus") == ["7"]
    assert mctl.properties("web") == before
    ended = mctl.properties("short")
    assert (ended["State"], ended["ExitHow"], ended["ExitStatus"]) == ("exited", "exited", 7)
    mctl("stop", "web")
    assert show(mctl, "web", "ActiveState") == ["inactive"]


@pytest.mark.allow_journal(FAILED, r"mctl@web\.service: State 'stop-sigterm' timed out\. Killing\.")
def test_stopping_is_the_containers_own_way(mctl: Mctl) -> None:
    script = "trap 'echo usr1; exit 0' USR1; echo hello; while :; do sleep 0.05; done"
    create(mctl, "web", script, "--stop-signal", "USR1")
    mctl.shell("systemctl start mctl@web")
    greeted(mctl, "web")
    mctl.shell("systemctl stop mctl@web")
    assert "usr1" in unit_lines(mctl, "web")
    create(mctl, "deaf", "trap '' TERM; while :; do sleep 0.05; done", "--stop-timeout", "1")
    mctl.shell("systemctl start mctl@deaf; systemctl stop mctl@deaf")
    assert show(mctl, "deaf", "Result") == ["timeout"]
    assert mctl.properties("deaf")["ExitHow"] == "killed"
    mctl.shell("systemctl reset-failed mctl@deaf; systemctl start mctl@deaf")
    mctl("stop", "-f", "deaf")
    assert mctl.properties("deaf")["State"] == "exited"


@pytest.mark.allow_journal(FAILED)
def test_a_paused_one_is_stopped_and_removed_all_the_same(mctl: Mctl) -> None:
    create(mctl, "web")
    for times in (1, 2):
        mctl.shell("systemctl start mctl@web")
        greeted(mctl, "web", times)
        mctl("pause", "web")
        mctl("stop", "web")
        assert show(mctl, "web", "ActiveState", "ExecMainStatus") == ["inactive", "0"]
    mctl.shell("systemctl start mctl@web")
    mctl("pause", "web")
    mctl("rm", "-f", "web")


def test_systemd_finds_nothing_wrong_with_the_unit(mctl: Mctl) -> None:
    create(mctl, "web", POLITE, "--restart", "on-failure:3", "-v", "/srv/root:/data")
    mctl("enable", "web")
    result = mctl.shell("systemd-analyze --man=no verify mctl@web.service")
    assert (result.text, result.stderr) == ("", b"")
    assert show(mctl, "web", "Restart", "RestartUSec", "KillSignal") == ["on-failure", "2s", "15"]
    assert "/srv/root" in show(mctl, "web", "RequiresMountsFor")[0].split()


def test_a_stop_may_be_given_more_time_than_the_unit_has(mctl: Mctl) -> None:
    create(mctl, "web", "trap 'sleep 4; exit 0' TERM; echo hello; while :; do sleep 0.05; done", "--stop-timeout", "1")
    mctl.shell("systemctl start mctl@web")
    greeted(mctl, "web")
    mctl("stop", "-t", "60", "web")
    assert show(mctl, "web", "Result", "ExecMainStatus", "TimeoutStopUSec") == ["success", "0", "1s"]


@pytest.mark.allow_journal(r"Container frail is unhealthy.*")
def test_an_unhealthy_one_is_restarted_by_its_unit(mctl: Mctl) -> None:
    health = ("--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1")
    script = "rm -f /sick; " + POLITE
    create(mctl, "frail", script, *health, "--health-on-failure", "restart", "--stop-timeout", "2")
    mctl.shell("systemctl start mctl@frail")
    first = mctl.properties("frail")["MainPID"]
    mctl("exec", "frail", "touch", "/sick")
    deadline = time.monotonic() + 20
    while mctl.properties("frail")["MainPID"] in (0, first) or mctl.properties("frail")["State"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    second = mctl.properties("frail")["MainPID"]
    time.sleep(3)  # longer than its time to stop: it is nobody's wish any more
    assert mctl.properties("frail")["MainPID"] == second
    assert show(mctl, "frail", "ActiveState", "MainPID") == ["active", str(second)]
    lines = unit_lines(mctl, "frail")
    assert any(line.startswith("Container frail exited with status 0") for line in lines)
    assert not any("killed" in line or "again" in line for line in lines)


@pytest.mark.allow_journal(FAILED, r"mctl@db\.service: Scheduled restart job.*")
def test_it_is_restarted_ordered_and_frozen_as_any_service(mctl: Mctl) -> None:
    create(mctl, "db")
    create(mctl, "web")
    for name in ("db", "web"):
        mctl("enable", name)
    mctl.shell(
        "mkdir -p /run/systemd/system/mctl@web.service.d /run/systemd/system/mctl@db.service.d;"
        "printf '[Unit]\\nRequires=mctl@db.service\\nAfter=mctl@db.service\\n'"
        " > /run/systemd/system/mctl@web.service.d/z.conf;"
        "printf '[Service]\\nRestart=on-failure\\n' > /run/systemd/system/mctl@db.service.d/z.conf;"
        "systemctl daemon-reload; systemctl start mctl@web"
    )
    first, second = (mctl.properties(name)["StartTimestampMonotonic"] for name in ("db", "web"))
    assert 0 < first < second
    mctl.shell("systemctl freeze mctl@db")
    assert mctl.properties("db")["State"] == "paused"
    mctl.shell("systemctl thaw mctl@db; systemctl restart mctl@db")
    assert mctl.properties("db")["State"] == "running"
    first = mctl.properties("db")["StartTimestampMonotonic"]
    mctl("kill", "db")
    deadline = time.monotonic() + 10
    while mctl.properties("db")["StartTimestampMonotonic"] in (0, first) or mctl.properties("db")["State"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    mctl.shell("systemctl stop mctl@db")
    assert show(mctl, "web", "ActiveState") == ["inactive"]  # what requires it is stopped with it
    mctl.shell("rm -r /run/systemd/system/mctl@web.service.d /run/systemd/system/mctl@db.service.d;"
               "systemctl daemon-reload")  # fmt: skip


def test_nothing_is_left_of_a_removed_one(mctl: Mctl) -> None:
    """The leak check looks at /etc/systemd/system, too."""
    create(mctl, "web")
    mctl("enable", "web")
    mctl("start", "web")
    mctl("rm", "-f", "web")
    assert mctl.shell("systemctl is-enabled mctl@web", check=False).text == "disabled\n"
    assert not mctl("ps", "-a", "-q").text


@pytest.mark.allow_journal(FAILED, NOT_STARTED, r"mctl@web\.service: Scheduled restart job.*")
def test_one_that_is_about_to_be_restarted_can_be_removed(mctl: Mctl) -> None:
    create(mctl, "web", "exit 4", "--restart", "on-failure")
    mctl.shell("systemctl start mctl@web", check=False)  # it may end before PID 1 knows that it was executed
    wait_for(mctl, "web", "exited")
    assert show(mctl, "web", "SubState") == ["auto-restart"]
    mctl("rm", "web")
    time.sleep(3)  # longer than RestartSec=
    assert show(mctl, "web", "ActiveState", "LoadState") == ["inactive", "loaded"]


def set_up(mctl: Mctl, name: str, *settings: str) -> None:
    """An administrator's own, for its unit."""
    place = f"/run/systemd/system/mctl@{name}.service.d"
    mctl.shell(f"mkdir -p {place}")
    mctl.machine.write(f"{place}/z.conf", "".join(f"{line}\n" for line in settings))
    mctl.shell("systemctl daemon-reload")


def set_nothing_up(mctl: Mctl, name: str) -> None:
    mctl.shell(f"rm -r /run/systemd/system/mctl@{name}.service.d; systemctl daemon-reload")


@pytest.mark.allow_journal(FAILED, NOT_STARTED, r"mctl@web\.service: Scheduled restart job.*")
def test_one_that_is_about_to_be_restarted_can_be_stopped(mctl: Mctl) -> None:
    """Who does not look first is told that it is stopped, and then it has to stay so."""
    create(mctl, "web", "exit 4", "--restart", "on-failure")
    set_up(mctl, "web", "[Service]", "RestartSec=600")
    mctl.shell("systemctl start mctl@web", check=False)  # it may end before PID 1 knows that it was executed
    wait_for(mctl, "web", "exited")
    assert show(mctl, "web", "SubState") == ["auto-restart"]
    for _ in range(2):
        assert mctl("stop", "web").text == "web\n"
        assert show(mctl, "web", "ActiveState") == ["inactive"]
    set_nothing_up(mctl, "web")


@pytest.mark.allow_journal(FAILED, NOT_STARTED, r"mctl@web\.service: (Scheduled restart job|Start request repeated).*")
def test_a_log_ends_when_systemd_gives_up_starting_it_again(mctl: Mctl) -> None:
    create(mctl, "web", "echo up; until [ -e /go ]; do sleep 0.1; done; exit 4", "--restart", "on-failure")
    set_up(mctl, "web", "[Unit]", "StartLimitIntervalSec=1h", "StartLimitBurst=3", "[Service]", "RestartSec=100ms")
    mctl.shell("systemctl start mctl@web")
    follow(mctl, "web")
    await_line(mctl, "web", "up")
    mctl("exec", "web", "touch", "/go")
    followed = has_followed(mctl, "web")
    assert show(mctl, "web", "ActiveState") == ["failed"]
    assert followed == [line for line in unit_lines(mctl, "web") if line == "up"]
    assert len(followed) >= 3  # it was four times with systemd 252
    set_nothing_up(mctl, "web")


@pytest.mark.allow_journal(FAILED, NOT_STARTED)
def test_one_that_fails_at_once_has_been_started(mctl: Mctl) -> None:
    """However early: whether PID 1 has heard of the execution before the end is a matter of a millisecond."""
    create(mctl, "web", "exit 4")
    mctl("enable", "web")
    for _ in range(20):
        assert mctl("start", "web").text == "web\n"
        wait_for(mctl, "web", "exited")
        assert mctl.properties("web")["ExitStatus"] == 4


def test_what_removes_itself_is_no_service(mctl: Mctl) -> None:
    create(mctl, "web", POLITE, "--rm")
    result = mctl("enable", "web", check=False)
    assert result.returncode == 1
    assert "is removed when it ends" in result.stderr.decode()
