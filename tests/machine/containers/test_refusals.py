# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a sentence that names flag, value and bound; a status; nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

ROOT = "/srv/root"


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["/no/such", "true"], 125, ["/no/such"]),
        ([ROOT], 125, ["no command"]),
        ([ROOT, "/bin/nope"], 127, ["/bin/nope"]),
        ([ROOT, "nope"], 127, ["nope"]),
        ([ROOT, "/tmp"], 126, ["/tmp"]),
        ([ROOT, "/proc/self/exe"], 126, ["/proc/self/exe"]),
        (["--name", "a/../b", ROOT, "true"], 125, ["--name", "a/../b", "63"]),
        (["--name", "../x", ROOT, "true"], 125, ["--name", "../x"]),
        (["--name", "a\nb", ROOT, "true"], 125, ["--name", r"a\nb"]),
        (["--name", "x" * 300, ROOT, "true"], 125, ["--name", "63"]),
        (["--memory", "1m", ROOT, "true"], 125, ["--memory", "1m", "4 MiB"]),
        (["--memory", "12q", ROOT, "true"], 125, ["--memory", "12q"]),
        (["--memory", "64m", "--swap", "32m", ROOT, "true"], 125, ["--swap", "--memory"]),
        (["--cpu-weight", "0", ROOT, "true"], 125, ["--cpu-weight", "0", "10000"]),
        (["--cpu-weight", "10001", ROOT, "true"], 125, ["--cpu-weight", "10001", "10000"]),
        (["--bogus", ROOT, "true"], 125, ["--bogus"]),
        (["-w", "/proc/self/fd/0", ROOT, "true"], 125, ["/proc/self/fd/0"]),
        (["-w", "/nowhere", ROOT, "true"], 125, ["/nowhere"]),
    ],
)
def test_a_run_that_cannot_be(mctl: Mctl, argv: list[str], status: int, words: list[str]) -> None:
    result = mctl("run", *argv, check=False)
    text = result.stderr.decode()
    assert result.returncode == status
    assert all(word in text for word in words), text
    assert text.count("\n") == 1
    assert "Traceback" not in text
    assert mctl("ps", "-a", "-q").text == ""
    left = "ls /var/lib/mctl/containers"
    assert mctl.shell(f'for i in $(seq 300); do [ -z "$({left})" ] && break; sleep 0.1; done; {left}').text == ""


def test_a_name_is_taken(mctl: Mctl) -> None:
    mctl("create", "--name", "taken", mctl.rootfs, "true")
    result = mctl.run("true", options=["--name", "taken"], check=False)
    assert result.returncode == 125
    assert "'taken' is taken" in result.stderr.decode()


def test_a_directory_that_was_swapped_is_refused(mctl: Mctl) -> None:
    """What was authorized is what is run."""
    mctl.shell("cp -a /srv/root /srv/swapped")
    mctl("create", "--name", "swapped", "/srv/swapped", "true")
    mctl.shell("mv /srv/swapped /srv/away; cp -a /srv/root /srv/swapped")
    result = mctl("start", "swapped", check=False)
    mctl.shell("rm -r /srv/swapped /srv/away")
    assert result.returncode == 1
    assert "is no longer the one" in result.stderr.decode()


def test_a_symlink_in_the_image_leads_nowhere(mctl: Mctl) -> None:
    """CVE-2026-47766: rootfs/dev as a symlink made crun and runc write on the host."""
    mctl.shell("mkdir -p /srv/evil /srv/canary; cp -a /srv/root/bin /srv/evil/")
    for name in ("dev", "proc", "sys"):
        mctl.shell(f"ln -s /srv/canary /srv/evil/{name}")
        result = mctl.run("true", options=["--rm"], rootfs="/srv/evil", check=False)
        assert result.returncode == 125
        assert f"/{name}" in result.stderr.decode()
        mctl.shell(f"rm /srv/evil/{name}")
    assert mctl.shell("ls /srv/canary; rm -r /srv/evil /srv/canary").text == ""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("org.mctl1.Manager CreateContainer sa{sv}t x 1 Bogus s y 0", "option 'Bogus' is not known"),
        ("org.mctl1.Manager CreateContainer sa{sv}t x 0 8", "flags 0x8 are not known"),
        ("org.mctl1.Manager CreateContainer sa{sv}t x 1 MemoryMax s much 0", "option MemoryMax must be"),
        ("org.mctl1.Manager CreateContainer sa{sv}t x 0 0", "is missing"),
        ("org.mctl1.Manager CreateContainer s x", "takes the signature 'sa{sv}t'"),
        ("org.mctl1.Manager Nope", "has no method"),
        ("org.mctl1.Nope Nope", "has no interface"),
        ("org.freedesktop.DBus.Properties Set ssv org.mctl1.Manager Version s 9", "Version"),
    ],
)
def test_a_call_that_cannot_be(mctl: Mctl, call: str, words: str) -> None:
    result = mctl.shell(f"busctl call org.mctl1 /org/mctl1 {call}", check=False)
    assert result.returncode == 1
    assert words in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()


@pytest.mark.allow_journal(r"Too many open files", r"descriptors")
def test_a_service_without_descriptors_says_so_and_goes_on(mctl: Mctl) -> None:
    """Wherever they run out during a start: a sentence, nothing left, and the next start works."""
    mctl.run("true", options=["--rm"])
    pid = mctl.service_pid()
    used = int(mctl.shell(f"ls /proc/{pid}/fd | wc -l").text)
    statuses = []
    for spare in (*range(1, 20), 100):
        mctl.shell(f"prlimit --pid {pid} --nofile={used + spare}:")
        result = mctl.run("true", options=["--rm"], check=False)
        mctl.shell(f"prlimit --pid {pid} --nofile=524288: || prlimit --pid {pid} --nofile=20000:")
        statuses.append(result.returncode)
        assert "internal error" not in result.stderr.decode()
        assert mctl("ps", "-a", "-q").text == ""
    assert set(statuses) == {0, 125}, statuses  # too few for the first, enough for the last
    mctl.run("true", options=["--rm"])
    assert mctl.service_pid() == pid
