# SPDX-License-Identifier: GPL-3.0-or-later
"""With whom a container may exchange packets, and where it may listen: changed while it runs, held by the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_names import stay
from .test_network import KILLED, serve

if TYPE_CHECKING:
    from .conftest import Mctl

# Until it listens, or has been refused and is gone.
BIND = """
nc -l -p {0} </dev/null &
while kill -0 $! 2>/dev/null && ! grep -q ':{0:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done
kill $! 2>/dev/null && echo bound; wait
"""


def reached(mctl: Mctl, address: str) -> bool:
    script = f"nc -w 2 {address} 7 </dev/null"
    return mctl("exec", "one", "sh", "-c", script, check=False).text.startswith("hello")


def forbids_ports(mctl: Mctl) -> bool:
    """Debian 12's systemd is built without the programs for that."""
    return "+BPF_FRAMEWORK" in mctl.shell("systemctl --version").text


def bound(mctl: Mctl, port: int) -> bool:
    return mctl("exec", "one", "sh", "-c", BIND.format(port), check=False).text == "bound\n"


@pytest.mark.allow_journal(KILLED)
def test_changed_while_it_runs_and_kept(mctl: Mctl, alice_may_create: None) -> None:
    near, _ = serve(mctl, "near")
    far, far6 = serve(mctl, "far")
    stay(mctl, "one", user="alice")
    assert all(reached(mctl, address) for address in (near, far, far6))
    assert bound(mctl, 80)
    ports = ["--no-bind", "0-1023"] if forbids_ports(mctl) else []
    words = ["--deny", "any", "--allow", near, "--allow", "localhost", *ports]
    shown = mctl("net", *words, "one", user="alice").text.splitlines()
    allowed = ["deny any", f"allow {near}/32", "allow 127.0.0.0/8", "allow ::1/128"]
    assert shown == [*allowed, *(["no-bind 1-1023"] if ports else [])]

    def holds() -> None:
        assert [reached(mctl, address) for address in (near, far, far6)] == [True, False, False]
        assert (bound(mctl, 80), bound(mctl, 8080)) == (not ports, True)

    holds()
    mctl.kill_service()
    holds()
    mctl("restart", "-t", "0", "one")
    holds()
    if not ports:
        mctl("net", "--deny", "none", "one")
        assert all(reached(mctl, address) for address in (near, far, far6))
        return
    refused = mctl("net", "--deny", "none", "--no-bind", "none", "one", check=False)
    assert "--no-bind can only grow while a container runs" in refused.stderr.decode()
    holds()
    mctl("net", "--deny", "none", "--no-bind", "0-1023", "--no-bind", "tcp:2000", "one")
    assert all(reached(mctl, address) for address in (near, far, far6))
    assert (bound(mctl, 80), bound(mctl, 2000), bound(mctl, 8080)) == (False, False, True)
    mctl("stop", "-t", "0", "one")
    assert mctl("net", "--no-bind", "none", "one").text.splitlines() == [
        f"allow {near}/32", "allow 127.0.0.0/8", "allow ::1/128",
    ]  # fmt: skip
    mctl("start", "one")
    assert bound(mctl, 80)


def test_only_ports(mctl: Mctl) -> None:
    stay(mctl, "one")
    assert bound(mctl, 80)
    if not forbids_ports(mctl):
        refused = mctl("net", "--no-bind", "tcp:80", "one", check=False)
        assert "BPF_FRAMEWORK" in refused.stderr.decode()
        assert mctl("net", "one").text == ""
        return
    assert mctl("net", "--no-bind", "tcp:80", "one").text == "no-bind tcp:80\n"
    assert (bound(mctl, 80), bound(mctl, 81)) == (False, True)
    mctl("net", "--no-bind", "tcp:80", "--no-bind", "81-82", "one")
    assert (bound(mctl, 80), bound(mctl, 81)) == (False, False)


def test_of_a_container_that_is_a_service(mctl: Mctl) -> None:
    far, _ = serve(mctl, "far")
    mctl("create", "--name", "one", mctl.rootfs, "sleep", "1000")
    mctl("enable", "one")
    mctl("start", "one")
    assert reached(mctl, far)
    ports = ["--no-bind", "tcp:80"] if forbids_ports(mctl) else []
    mctl("net", "--deny", "any", *ports, "one")
    assert not reached(mctl, far)
    mctl("restart", "-t", "0", "one")
    assert not reached(mctl, far)
    assert (bound(mctl, 80), bound(mctl, 81)) == (not ports, True)
    mctl("stop", "-t", "0", "one")
    mctl("net", "--deny", "none", *(["--no-bind", "none"] if ports else []), "one")
    mctl("start", "one")
    assert reached(mctl, far)  # what PID 1 was told while it ran does not outlive what the store says
    assert bound(mctl, 80)
    assert mctl.shell("find /run/systemd/system.control -name 'mctl@*'", check=False).text == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--deny", "everybody"], "--deny 'everybody' is not an address or subnet"),
        (["--no-bind", "80-70"], "--no-bind port 70"),
        (["--deny", "none", "--deny", "any"], "--deny none goes with no other"),
        (["two"], "net takes one name"),
    ],
)
def test_what_cannot_be(mctl: Mctl, words: list[str], sentence: str) -> None:
    mctl("create", "--name", "one", mctl.rootfs, "true")
    refused = mctl("net", *words, "one", check=False)
    assert sentence in refused.stderr.decode()
    assert mctl("net", "one").text == ""
