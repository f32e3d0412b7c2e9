# SPDX-License-Identifier: GPL-3.0-or-later
"""What dies comes back as its owner wished, and what hangs is noticed: also when the service is killed in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Mctl

KILLED = r"mctld\.service: (Failed with result 'signal'|Main process exited.*)|Failed to start mctld\.service"
PATIENT = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
STARTED, EXITED = "7a46ca3252124d83ae72a583628e89e7", "5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1"
RESTARTING, GIVEN_UP = "c94bec11608e4368b271b79271ffba0e", "a55e90739b6a44d2b2dc110b09968252"
HEALTH = "c9d5d21ea59c40d58742de1d2fd28e5c"
PROBES = "pgrep -fxc 'sleep 4[0-9][0-9]'"


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come to be"
        time.sleep(0.05)


def becomes(mctl: Mctl, name: str, **wanted: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def there() -> bool:
        found.update(mctl.properties(name))
        return all(found[key] == value for key, value in wanted.items())

    try:
        until(there)
    except AssertionError:
        raise AssertionError({key: found[key] for key in (*wanted, "State", "RestartCount", "HealthLog")}) from None
    return found


def crash(mctl: Mctl, name: str) -> None:
    """Nobody has asked for it."""
    mctl.shell(f"kill -9 {mctl.properties(name)['MainPID']}")


def entries(mctl: Mctl, name: str, message: str) -> list[dict[str, Any]]:
    return mctl.journal(f"MESSAGE_ID={message}", f"MCTL_CONTAINER_ID={mctl.properties(name)['Id']}")


def test_what_is_killed_comes_back_with_all_that_it_was(mctl: Mctl) -> None:
    options = ["-d", "--name", "web", "--restart", "always", "--memory-high", "max", "-e", "A=b"]
    mctl.run("sh", "-c", f"echo $A >> /kept; {PATIENT}", options=options)
    before = mctl.properties("web")
    crash(mctl, "web")
    after = becomes(mctl, "web", State="running", RestartCount=1)
    assert after["MainPID"] != before["MainPID"]
    assert after["Addresses"] == before["Addresses"]
    assert mctl("exec", "web", "cat", "/kept").text == "b\nb\n"
    assert (after["NextStartTimestamp"], after["ExitHow"]) == (0, "")
    (ended,) = entries(mctl, "web", EXITED)
    assert (ended["MCTL_EXIT_HOW"], ended["MCTL_EXIT_STATUS"]) == ("killed", "9")
    assert len(entries(mctl, "web", RESTARTING)) == 1
    assert [entry["MCTL_RESTARTS"] for entry in entries(mctl, "web", STARTED)] == ["0", "1"]


def test_who_kills_it_wants_it_to_stay_so(mctl: Mctl) -> None:
    options = ["-d", "--init", "--restart", "always"]
    for name, sent, after in (("hard", "KILL", "exited"), ("soft", "TERM", "exited"), ("hup", "HUP", "running")):
        mctl.run("sleep", "1000", options=[*options, "--name", name])
        mctl("kill", "-s", sent, name)
        becomes(mctl, name, State=after, RestartCount=int(after == "running"))
    time.sleep(0.5)
    assert [mctl.properties(name)["State"] for name in ("hard", "soft", "hup")] == ["exited", "exited", "running"]


@pytest.mark.allow_journal(r"has been started again 2 times, as often as it may be \(on-failure:2\)")
def test_enough_is_enough_and_a_start_begins_anew(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "exit 3", options=["-d", "--name", "web", "--restart", "on-failure:2"])
    found = becomes(mctl, "web", State="exited", RestartCount=2)
    assert (found["ExitHow"], found["ExitStatus"]) == ("exited", 3)
    (entry,) = entries(mctl, "web", GIVEN_UP)
    assert entry["PRIORITY"] == "4"
    assert "is not started again" in mctl.shell(f"journalctl -q -x MESSAGE_ID={GIVEN_UP}").text
    mctl("update", "--restart", "on-failure:1000", "web")
    mctl("start", "web")
    assert becomes(mctl, "web", State="restarting")["RestartCount"] < 8  # and not where it was given up
    until(lambda: "  restarting (" in mctl("ps").text)


def test_success_is_enough_for_on_failure(mctl: Mctl) -> None:
    mctl.run("true", options=["-d", "--name", "web", "--restart", "on-failure"])
    assert mctl("wait", "web").text == "0\n"
    time.sleep(0.5)
    assert becomes(mctl, "web", State="exited")["RestartCount"] == 0


def test_stop_rm_and_update_work_while_it_waits(mctl: Mctl) -> None:
    for name in ("stopped", "removed", "updated", "started"):
        mctl.run("sh", "-c", "exit 1", options=["-d", "--name", name, "--restart", "always"])
    names = ("stopped", "removed", "updated", "started")
    # From there on it waits longer than these calls take.
    until(lambda: all(mctl.properties(name)["RestartCount"] >= 5 for name in names), 60)
    for name in names:
        becomes(mctl, name, State="restarting")
    mctl("stop", "stopped")
    mctl("rm", "removed")
    mctl("update", "--restart", "no", "updated")
    assert "it is restarting" in mctl("kill", "started", check=False).stderr.decode()
    mctl("start", "started")
    found = becomes(mctl, "started", State="restarting")
    assert found["RestartCount"] < 5
    mctl("stop", "started")
    counts = {name: becomes(mctl, name, State="exited")["RestartCount"] for name in ("stopped", "updated", "started")}
    time.sleep(4)
    assert {name: mctl.properties(name)["RestartCount"] for name in counts} == counts
    assert "removed" not in mctl("ps", "-a").text


@pytest.mark.allow_journal(KILLED)
def test_the_policy_goes_on_when_the_service_is_killed(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "runs", "--restart", "always"])
    mctl.run("sh", "-c", "exit 1", options=["-d", "--name", "waits", "--restart", "always"])
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "stopped", "--restart", "always"])
    mctl("stop", "stopped")
    time.sleep(1.5)
    began, before = time.monotonic(), becomes(mctl, "waits", State="restarting")
    for _ in range(3):
        mctl.kill_service()
        mctl.shell("sleep 0.3")
    after = becomes(mctl, "waits", State="restarting")
    # Where it begins anew with the first pause, it has been started more often than the pauses leave time for.
    fewest, most = before["RestartCount"], before["RestartCount"] + 1
    while sum(0.1 * 2**count for count in range(fewest + 1, most + 1)) < time.monotonic() - began:
        most += 1
    assert fewest <= after["RestartCount"] <= most
    assert becomes(mctl, "runs", State="running")["RestartCount"] == 0
    crash(mctl, "runs")
    becomes(mctl, "runs", State="running", RestartCount=1)
    assert mctl.properties("stopped")["State"] == "exited"


@pytest.mark.allow_journal(KILLED)
def test_what_ends_while_the_service_is_down_comes_back(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--restart", "on-failure"])
    pid = mctl.properties("web")["MainPID"]
    mctl.shell(f"systemctl stop mctld.service; kill -9 {pid}; sleep 0.5; systemctl start mctld.service")
    found = becomes(mctl, "web", State="running", RestartCount=1)
    assert found["MainPID"] != pid


@pytest.mark.allow_journal(KILLED)
def test_a_stop_that_the_service_did_not_survive_is_still_a_stop(mctl: Mctl) -> None:
    mctl.run("sh", "-c", "trap 'sleep 2; exit 5' TERM; echo ready; while :; do sleep 0.05; done",
             options=["-d", "--name", "web", "--restart", "always"])  # fmt: skip
    mctl.until("mctl logs web | grep ready")
    mctl.shell("mctl stop -t 60 web > /dev/null 2>&1 &")
    becomes(mctl, "web", State="stopping")
    mctl.kill_service()
    found = becomes(mctl, "web", State="exited")
    assert (found["ExitStatus"], found["RestartCount"]) == (5, 0)
    time.sleep(1)
    assert mctl.properties("web")["State"] == "exited"


@pytest.mark.allow_journal(r"Container web could not be started again \(.*\); it will be started again in .* s")
def test_a_start_that_cannot_be_backs_off_and_succeeds_when_it_can(mctl: Mctl) -> None:
    mctl.shell("cp -a /srv/root /srv/going")
    mctl.run("sh", "-c", PATIENT, rootfs="/srv/going", options=["-d", "--name", "web", "--restart", "always"])
    mctl.shell("mv /srv/going /srv/gone")
    crash(mctl, "web")
    time.sleep(3)
    found = becomes(mctl, "web", State="restarting")
    assert 2 <= found["RestartCount"] <= 6
    assert "/srv/going" in found["Warnings"][0]
    mctl.shell("mv /srv/gone /srv/going")
    found = becomes(mctl, "web", State="running")
    assert found["Warnings"] == []
    mctl("rm", "-f", "web")
    mctl.shell("rm -r /srv/going")


def test_restarted_by_hand(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--rm", "--name", "passing"])
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "staying"])
    mctl("create", "--name", "new", mctl.rootfs, "sh", "-c", PATIENT)
    before = {name: mctl.properties(name)["MainPID"] for name in ("passing", "staying")}
    assert mctl("restart", "-t", "5", "passing", "staying", "new").text == "passing\nstaying\nnew\n"
    for name in ("passing", "staying", "new"):
        found = mctl.properties(name)
        assert (found["State"], found["RestartCount"]) == ("running", 0)
        assert found["MainPID"] != before.get(name)
    mctl("stop", "passing")
    assert "passing" not in mctl("ps", "-a").text


def test_no_restart_of_what_is_removed(mctl: Mctl) -> None:
    refused = mctl.run("true", options=["--rm", "--restart", "always"], check=False)
    assert refused.returncode == 125
    assert "exclude each other" in refused.stderr.decode()


def test_systemctl_stop_is_a_persons_wish(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--restart", "always"])
    mctl.shell("systemctl stop mctl-web.scope")
    assert becomes(mctl, "web", State="exited")["RestartCount"] == 0


@pytest.mark.parametrize("script", [PATIENT, "exec sleep 1000"])
def test_it_is_also_where_pid_1_does_not_ask_the_service(mctl: Mctl, script: str) -> None:
    """It forgets whom to ask when the service is started anew."""
    for number in range(5):
        name = f"web{number}"
        mctl.run("sh", "-c", script, options=["-d", "--init", "--name", name, "--restart", "always"])
        mctl.shell(f"systemctl restart mctld.service; systemctl start mctl-{name}.scope")  # a job that says nothing
        crash(mctl, name)
        becomes(mctl, name, State="running", RestartCount=1)
        mctl.shell("systemctl restart mctld.service")
        mctl.shell(f"systemctl stop mctl-{name}.scope")
    time.sleep(1)
    for number in range(5):
        found = mctl.properties(f"web{number}")
        assert (found["State"], found["RestartCount"]) == ("exited", 1)


CHECKED = ["--health-interval", "100ms", "--health-retries", "2"]


@pytest.mark.allow_journal(r"Container web is unhealthy")
def test_health_is_shown_and_told(mctl: Mctl) -> None:
    check = "echo fine; echo bad >&2; test -e /tmp/ok"
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--health-cmd", check, *CHECKED])
    assert mctl.properties("web")["Health"] in ("starting", "unhealthy")
    found = becomes(mctl, "web", Health="unhealthy")
    begin, end, status, output = found["HealthLog"][-1]
    assert (status, sorted(output.split()), end >= begin) == (1, ["bad", "fine"], True)
    assert "(unhealthy)" in mctl("ps").text
    mctl("exec", "web", "touch", "/tmp/ok")
    becomes(mctl, "web", Health="healthy")
    assert "(healthy)" in mctl("ps").text
    assert [entry["MCTL_HEALTH"] for entry in entries(mctl, "web", HEALTH)] == ["unhealthy", "healthy"]
    assert found["State"] == "running"
    assert mctl("logs", "web").text == ""  # what checks print is not the container's
    assert "probe" not in mctl.shell("busctl tree org.mctl1").text
    mctl("stop", "web")
    assert mctl.properties("web")["Health"] == "none"


@pytest.mark.allow_journal(r"Container web is unhealthy")
def test_an_unhealthy_one_is_restarted(mctl: Mctl) -> None:
    mctl.run("sh", "-c", f"rm -f /hung; {PATIENT}", options=[
        "-d", "--name", "web", "--health-cmd", "! test -e /hung", "--health-on-failure", "restart", *CHECKED,
    ])  # fmt: skip
    becomes(mctl, "web", Health="healthy")
    for count in (1, 2):
        mctl("exec", "web", "touch", "/hung")
        becomes(mctl, "web", State="running", Health="healthy", RestartCount=count)
    assert [entry["MCTL_EXIT_HOW"] for entry in entries(mctl, "web", EXITED)] == ["exited"] * 2


@pytest.mark.allow_journal(r"Container \S+ is unhealthy")
def test_an_unhealthy_one_is_killed_or_stopped(mctl: Mctl) -> None:
    for action, policy in (("kill", "always"), ("stop", "always"), ("kill", "no")):
        mctl.run("sh", "-c", PATIENT, options=["-d", "--name", f"{action}-{policy}", "--health-cmd", "exit 9",
                 "--health-on-failure", action, "--restart", policy, *CHECKED])  # fmt: skip
    becomes(mctl, "kill-always", RestartCount=2)
    found = becomes(mctl, "stop-always", State="exited")
    assert (found["ExitHow"], found["RestartCount"]) == ("exited", 0)
    assert becomes(mctl, "kill-no", State="exited")["ExitHow"] == "killed"


@pytest.mark.allow_journal(r"Container web is unhealthy")
def test_a_check_that_hangs_is_killed_with_what_it_has_started(mctl: Mctl) -> None:
    check = "sleep 401 & sleep 402 & yes & wait"
    mctl.run("sh", "-c", PATIENT, options=[
        "-d", "--name", "web", "--health-cmd", check, "--health-timeout", "300ms", *CHECKED,
    ])  # fmt: skip
    found = becomes(mctl, "web", Health="unhealthy")
    _, _, status, output = found["HealthLog"][-1]
    assert status == 124
    assert output.endswith("[killed after 0.3 s]")
    assert 4_000 < len(output) < 4_200
    if tuple(map(int, mctl.shell("uname -r").text.split("-")[0].split(".")[:2])) >= (6, 9):
        assert int(mctl.shell(PROBES, check=False).text) <= 2  # of the check that is under way


@pytest.mark.allow_journal(r"Container \S+ is unhealthy")
def test_a_check_that_cannot_be_executed_has_failed(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--health-cmd", '["/no/such"]', *CHECKED])
    found = becomes(mctl, "web", Health="unhealthy")
    assert found["HealthLog"][-1][2] == 127
    assert "/no/such" in found["HealthLog"][-1][3]


def test_a_check_is_bound_as_the_container_is(mctl: Mctl) -> None:
    check = "cat /proc/self/cgroup /proc/self/status; id -u"
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "-u", "77", "--health-cmd", check, *CHECKED])
    becomes(mctl, "web", Health="healthy")
    output = mctl.properties("web")["HealthLog"][-1][3]
    assert "0::/\n" in output
    assert output.endswith("77\n")
    assert "Seccomp:\t2" in output
    assert "NoNewPrivs:\t1" in output


def test_a_pause_freezes_checks(mctl: Mctl) -> None:
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--health-cmd", "true", *CHECKED])
    becomes(mctl, "web", Health="healthy")
    mctl("pause", "web")
    time.sleep(0.5)
    before = mctl.properties("web")["HealthLog"]
    time.sleep(1)
    found = mctl.properties("web")
    assert (found["State"], found["Health"], found["HealthLog"]) == ("paused", "healthy", before)
    mctl("unpause", "web")
    until(lambda: mctl.properties("web")["HealthLog"] != before)
    assert mctl.properties("web")["Health"] == "healthy"


@pytest.mark.allow_journal(KILLED)
def test_checks_go_on_when_the_service_is_killed_and_nothing_is_left_of_the_old_one(mctl: Mctl) -> None:
    check = "test -e /tmp/hang && exec sleep 403; true"
    mctl.run("sh", "-c", PATIENT, options=["-d", "--name", "web", "--health-cmd", check, *CHECKED])
    becomes(mctl, "web", Health="healthy")
    mctl("exec", "web", "touch", "/tmp/hang")
    until(lambda: mctl.shell(PROBES, check=False).text == "1\n")
    mctl("exec", "web", "rm", "/tmp/hang")
    known = mctl.properties("web")["HealthLog"]
    assert known
    mctl.kill_service()
    found = mctl.properties("web")
    kept = [each for each in found["HealthLog"] if each[0] <= known[-1][0]]  # there may have been more since
    assert found["Health"] == "healthy"
    assert kept == known[len(known) - len(kept) :]
    until(lambda: mctl.shell(PROBES, check=False).text == "0\n")
    until(lambda: mctl.properties("web")["HealthLog"])
    assert mctl.properties("web")["Health"] == "healthy"


def test_results_of_checks_survive_a_restart_of_the_service(mctl: Mctl) -> None:
    """As an upgrade of the package makes one. Five results are kept, twenty seconds in all."""
    options = ["-d", "--name", "web", "--health-cmd", "true", "--health-interval", "4s"]
    mctl.run("sh", "-c", PATIENT, options=options)
    until(lambda: mctl.properties("web")["HealthLog"])
    known = mctl.properties("web")["HealthLog"]
    mctl.shell("systemctl restart mctld.service")
    assert known[-1] in mctl.properties("web")["HealthLog"]


def test_events_are_told_to_those_who_may_see_them(mctl: Mctl, alice_may_create: None) -> None:
    mctl.shell("timeout 60 mctl events --format '{{.Event}} {{.Name}} {{.ExitStatus}}' > /tmp/live 2>&1 &")
    mctl.until("for pid in $(pgrep -x journalctl); do ls -l /proc/$pid/fd; done | grep inotify")  # it follows
    before = time.time()
    mctl("run", "-d", "--name", "hers", "/srv/alice", "sh", "-c", "exit 4", user="alice")
    mctl("wait", "hers")
    mctl.run("true", options=["--name", "ours"])
    alice = mctl.shell("id -u alice").text.strip()
    forged = f"MESSAGE_ID={STARTED}\nMESSAGE=x\nMCTL_EVENT=started\nMCTL_CONTAINER_NAME=hers\nMCTL_OWNER_UID={alice}\n"
    mctl.machine.run(["logger", "--journald"], input=forged, user="bob")
    since = ["events", f"--since=@{before}", "--until=now"]
    until(lambda: len(mctl(*since).text.splitlines()) == 4)
    first, second = mctl(*since, user="alice").text.splitlines()
    assert first.endswith(" Container hers has been started")
    assert " Container hers exited with status 4 after " in second
    assert mctl(*since, user="bob").text == ""
    assert len(mctl(*since, "ours").text.splitlines()) == 2
    until(lambda: mctl.shell("cat /tmp/live").text == "started hers \nexited hers 4\nstarted ours \nexited ours 0\n")
    mctl.shell("kill $(pgrep -f '^timeout 60 mctl'); rm /tmp/live")


def test_the_service_is_there_after_a_boot(mctl: Mctl) -> None:
    assert mctl.shell("systemctl is-enabled mctld.service").text == "enabled\n"
