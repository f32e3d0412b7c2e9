# SPDX-License-Identifier: GPL-3.0-or-later
"""sd_notify(3) from inside: when a container is ready, what it says, and whether it is alive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .test_boot import show, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Mctl

pytestmark = [
    pytest.mark.nspawn,
    pytest.mark.allow_journal(r"mctl@.*", r"mctld\.service: .*", r"Failed to start .*", r"speaker is not started: .*"),
]

# busybox cannot send to a socket of a file system: systemd-notify can, with the libraries that it needs.
MAKE_SPEAKER = """
set -e
[ ! -e /srv/speaker ] || exit 0
cp -a /srv/root /srv/speaker; mkdir -p /srv/speaker/usr/bin; cp /usr/bin/systemd-notify /srv/speaker/usr/bin/
for library in $(ldd /usr/bin/systemd-notify | grep -o '/[^ ]*'); do
    mkdir -p /srv/speaker$(dirname $library); cp -L $library /srv/speaker$library
done
"""
WAITS = "until [ -e /tmp/go ]; do sleep 0.1; done; systemd-notify --ready --status='serving 3 clients'; exec sleep 1000"
BEATS = "systemd-notify --ready; until [ -e /tmp/stuck ]; do systemd-notify WATCHDOG=1; sleep 0.3; done; sleep 1000"
LINGERS = """
trap 'systemd-notify --status="writing it all down" STOPPING=1 EXTEND_TIMEOUT_USEC=30000000; sleep 3; exit 0' TERM
systemd-notify --ready; while :; do sleep 0.1; done
"""
FORGE = """
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'STATUS=forged', '/proc/{}/root/run/host/notify')
"""
DROP_IN = "/etc/systemd/system/mctl@speaker.service.d/test.conf"


@pytest.fixture
def speak(mctl: Mctl) -> Iterator[Callable[..., None]]:
    """Makes the container `speaker`, whose unit has more to say if `unit` is given."""
    mctl.shell(MAKE_SPEAKER)

    def create(script: str, *options: str, unit: str = "") -> None:
        if unit:
            mctl.machine.write(DROP_IN, f"[Service]\n{unit}\n")
            mctl.shell("systemctl daemon-reload")
        mctl("create", "--name", "speaker", "--network", "none", *options, "/srv/speaker", "sh", "-c", script)

    yield create
    mctl("rm", "-f", "speaker")
    mctl.shell(f"rm -f {DROP_IN}; rmdir {DROP_IN.rpartition('/')[0]}; systemctl daemon-reload", check=False)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_start_waits_for_the_containers_word(mctl: Mctl, speak: Callable[..., None]) -> None:
    speak(WAITS, "--sdnotify", "container")
    mctl.shell("systemctl start --no-block mctl@speaker")
    wait_for(mctl, "speaker", "running")
    until(lambda: show(mctl, "speaker", "ActiveState", "SubState") == ["activating", "start-post"])
    order = "-p After=mctl@speaker.service -p Requires=mctl@speaker.service --unit=after --no-block --collect"
    mctl.shell(f"systemd-run -q {order} sh -c 'mctl inspect --format {{{{.Ready}}}} speaker > /tmp/after'")
    mctl.shell(f"kill -9 {mctl.service_pid()}; sleep 0.5; test ! -e /tmp/after")
    assert mctl.properties("speaker")["Ready"] is False
    mctl("exec", "speaker", "touch", "/tmp/go")
    assert mctl("wait", "--ready", "speaker").text == "speaker\n"
    until(lambda: show(mctl, "speaker", "ActiveState", "StatusText") == ["active", "serving 3 clients"])
    until(lambda: mctl.shell("cat /tmp/after", check=False).text.strip().lower() == "true")
    found = mctl.properties("speaker")
    assert (found["Ready"], found["StatusText"]) == (True, "serving 3 clients")
    assert "Status: \"serving 3 clients\"" in mctl.shell("systemctl status mctl@speaker; rm /tmp/after").text

    mctl.machine.run(["python3", "-c", FORGE.format(found["MainPID"])])
    mctl("exec", "speaker", "systemd-notify", "RELOADING=1")  # after the forged one
    until(lambda: show(mctl, "speaker", "ActiveState") == ["reloading"])
    mctl("exec", "speaker", "systemd-notify", "--ready", "MAINPID=2")
    until(lambda: show(mctl, "speaker", "ActiveState") == ["active"])
    assert show(mctl, "speaker", "StatusText", "MainPID") == ["serving 3 clients", str(found["MainPID"])]
    assert mctl.properties("speaker") == found
    mctl("stop", "-t", "1", "speaker")
    found = mctl.properties("speaker")
    assert (found["Ready"], found["StatusText"]) == (False, "")


def test_an_end_before_the_word_is_a_start_that_failed(mctl: Mctl, speak: Callable[..., None]) -> None:
    speak("sleep 0.5; exit 0", "--sdnotify", "container")
    assert mctl.shell("systemctl start mctl@speaker", check=False).returncode == 1
    assert "container speaker has ended before it was ready" in mctl.shell("journalctl -b -u mctl@speaker").text
    assert mctl("wait", "--ready", "speaker", check=False).returncode == 1


def test_a_watchdog_that_nobody_feeds_bites(mctl: Mctl, speak: Callable[..., None]) -> None:
    speak(BEATS, "--sdnotify", "container", "--stop-timeout", "1", unit="WatchdogSec=3")
    mctl.shell("systemctl start mctl@speaker; sleep 4")
    assert show(mctl, "speaker", "ActiveState") == ["active"]
    pid = mctl.properties("speaker")["MainPID"]
    inside = mctl.shell(f"tr '\\0' '\\n' < /proc/{pid}/environ | grep -E 'WATCHDOG|NOTIFY' | sort").text.split()
    assert inside == ["NOTIFY_SOCKET=/run/host/notify", "WATCHDOG_PID=1", "WATCHDOG_USEC=3000000"]
    mctl("exec", "speaker", "touch", "/tmp/stuck")
    until(lambda: show(mctl, "speaker", "Result") == ["watchdog"], 20)
    wait_for(mctl, "speaker", "exited")


@pytest.mark.allow_journal(r"What container speaker says of itself is not heard .*")
def test_nobody_is_killed_because_the_service_is_stopped(mctl: Mctl, speak: Callable[..., None]) -> None:
    """PID 1 gives up what it keeps for a service that is stopped, and hears nothing of the container meanwhile."""
    speak(BEATS, "--sdnotify", "container", "--stop-timeout", "1", unit="WatchdogSec=2")
    mctl.shell("systemctl start mctl@speaker")
    pid = mctl.properties("speaker")["MainPID"]
    mctl.shell("systemctl restart mctld")  # which keeps it, and the watchdog with it
    assert show(mctl, "speaker", "ActiveState", "WatchdogUSec") == ["active", "2s"]
    mctl.shell("systemctl stop mctld; sleep 3")
    assert show(mctl, "speaker", "ActiveState", "MainPID") == ["active", str(pid)]
    found = mctl.properties("speaker")
    assert (found["State"], found["MainPID"], found["Ready"]) == ("running", pid, True)
    assert "says of itself is not heard" in mctl.shell("journalctl -b -u mctld").text
    mctl.shell("systemctl restart mctl@speaker")
    assert show(mctl, "speaker", "ActiveState", "WatchdogUSec") == ["active", "2s"]
    mctl("exec", "speaker", "touch", "/tmp/stuck")
    until(lambda: show(mctl, "speaker", "Result") == ["watchdog"], 20)
    wait_for(mctl, "speaker", "exited")


def test_a_watchdog_is_for_who_can_feed_it(mctl: Mctl, speak: Callable[..., None]) -> None:
    speak(BEATS, unit="WatchdogSec=3")
    assert mctl.shell("systemctl start mctl@speaker", check=False).returncode == 1
    assert "made with --sdnotify container" in mctl.shell("journalctl -b -u mctl@speaker").text


def test_health_can_be_what_a_start_waits_for(mctl: Mctl, speak: Callable[..., None]) -> None:
    check = ("--health-cmd", "test -e /tmp/go", "--health-interval", "200ms", "--health-start-period", "9s")
    speak("sleep 1; touch /tmp/go; exec sleep 1000", "--sdnotify", "healthy", *check)
    mctl.shell("systemctl start mctl@speaker")
    found = mctl.properties("speaker")
    assert (found["Ready"], found["Health"]) == (True, "healthy")


def test_a_stop_takes_as_long_as_the_payload_asks_for(mctl: Mctl, speak: Callable[..., None]) -> None:
    """PID 1 would kill it after a second."""
    speak(LINGERS, "--sdnotify", "container", "--stop-timeout", "1")
    mctl.shell("systemctl start mctl@speaker; systemctl stop --no-block mctl@speaker")
    until(lambda: show(mctl, "speaker", "ActiveState", "StatusText") == ["deactivating", "writing it all down"])
    wait_for(mctl, "speaker", "exited")
    found = mctl.properties("speaker")
    assert (found["ExitHow"], found["ExitStatus"]) == ("exited", 0)
    assert show(mctl, "speaker", "ActiveState", "Result") == ["inactive", "success"]


def test_without_a_unit_it_is_known_all_the_same(mctl: Mctl, speak: Callable[..., None]) -> None:
    speak(WAITS, "--sdnotify", "container")
    mctl("start", "speaker")
    assert mctl.properties("speaker")["Ready"] is False
    service, inside = mctl.service_pid(), f"/proc/{mctl.properties('speaker')['MainPID']}/root/tmp/go"
    # What is said while the service hears nothing is heard by the next instance.
    mctl.shell(f"kill -STOP {service}; touch {inside}; sleep 0.5; kill -9 {service}")
    until(lambda: mctl.properties("speaker")["StatusText"] == "serving 3 clients")
    assert mctl.properties("speaker")["Ready"] is True
    mctl.shell("systemctl restart mctld")
    assert mctl.properties("speaker")["Ready"] is True
