# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl -H and -M, with an ssh and a systemd-run that execute here what they are told to execute there."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from unit.cli.conftest import LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unit.cli.conftest import Result

SSH = '#!/bin/sh\nprintf "<%s>" "$@" >&2\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec sh -c "$*"\n'
RUN = r'''#!/bin/sh
[ -t 2 ] && printf "{%s}" "$SYSTEMD_ADJUST_TERMINAL_TITLE" >&2
printf "<%s>" "$@" >&2
while [ "$1" != -- ]; do shift; done
shift; exec python3 -c 'import os, sys; os.execvp(sys.argv[1], [a.replace("$$", "$") for a in sys.argv[1:]])' "$@"
'''
MCTL = '#!/bin/sh\nprintf "(%s)" "$@"\ncat\nexit 7\n'


@pytest.fixture
def path(tmp_path: Path, environment: dict[str, str]) -> str:
    """With a false ssh and systemd-run, and an mctl there that tells how it was called."""
    for name, text in (("ssh", SSH), ("systemd-run", RUN), ("mctl", MCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return f"{tmp_path}:{environment['PATH']}"


def test_all_is_executed_there(mctl: Callable[..., Result], path: str) -> None:
    """Words as they are, standard input, exit status; no terminal where there is none here."""
    words = ("-H", "alice@example.org", "--no-ask-password", "exec", "-i", "web", "sh", "-c", "echo 'a b' $x; *", "")
    done = mctl(*words, stdin=b"typed", PATH=path)
    assert done.stdout == b"(--no-ask-password)(exec)(-i)(web)(sh)(-c)(echo 'a b' $x; *)()typed"
    assert done.returncode == 7
    assert done.stderr.startswith(b"<--><alice@example.org><sh -c ")


@pytest.mark.parametrize("flag", ["-H", "-M"])
def test_at_a_terminal_there_is_one_there(environment: dict[str, str], path: str, flag: str) -> None:
    """And nothing else is on it: no word of ssh's at the end of each command, and no title of systemd-run's."""
    master, terminal = pty.openpty()
    words = [str(LAUNCHER), flag, "there", "ps", "-a"]
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, env=environment | {"PATH": path}):
        os.close(terminal)
        shown = b""
        while b"(ps)(-a)" not in shown:
            shown += os.read(master, 4096)
        os.write(master, b"\x04")  # what ends the input of mctl there
    os.close(master)
    if flag == "-H":
        assert shown.startswith(b"<-t><-o><LogLevel=ERROR><--><there>")
    else:
        assert shown.startswith(b"{0}<--quiet><--wait><--collect><--pty><--machine=there><-->")


def test_a_verb_of_a_later_version_is_that_hosts_affair(mctl: Callable[..., Result], path: str) -> None:
    assert mctl("--host=h", "newverb", "--newer", PATH=path).stdout == b"(newverb)(--newer)"
    assert mctl("--host=h", "--version", PATH=path).stdout == b"(--version)"


@pytest.mark.parametrize("host", ["-oProxyCommand=evil", "", "a b", "a\nb"])
def test_no_host_is_an_option_of_sshs(mctl: Callable[..., Result], path: str, host: str) -> None:
    done = mctl("-H", host, "ps", PATH=path)
    assert done.returncode == 125
    assert b"is no host" in done.stderr


def test_a_port_needs_a_url(mctl: Callable[..., Result], path: str) -> None:
    done = mctl("-H", "alice@example.org:2222", "ps", PATH=path)
    assert (done.returncode, b"give ssh://alice@example.org:2222, as" in done.stderr) == (125, True)
    for host in ("ssh://alice@example.org:2222", "::1", "fe80::1%eth0"):
        assert mctl("-H", host, "ps", PATH=path).stdout == b"(ps)"


def test_cp_mixes_no_hosts(mctl: Callable[..., Result], path: str) -> None:
    done = mctl("-H", "h", "cp", "notes", "web:/tmp", PATH=path)
    assert done.returncode == 125
    assert b"tar c FILE | mctl -H HOST cp - NAME:DIRECTORY" in done.stderr
    assert mctl("-H", "h", "cp", "-", "web:/tmp", stdin=b"tar", PATH=path).stdout == b"(cp)(-)(web:/tmp)tar"


def test_without_ssh(mctl: Callable[..., Result], tmp_path: Path) -> None:
    done = mctl("-H", "h", "ps", PATH=str(tmp_path))
    assert done.returncode == 125
    assert b"-H needs ssh(1)" in done.stderr


def test_in_a_machine(mctl: Callable[..., Result], path: str) -> None:
    words = ("-M", "alice@deb", "--no-pager", "exec", "web", "sh", "-c", "echo 'a b' $x; *")
    done = mctl(*words, stdin=b"typed", PATH=path)
    assert done.stdout == b"(--no-pager)(exec)(web)(sh)(-c)(echo 'a b' $x; *)typed"
    assert done.returncode == 7
    assert done.stderr.startswith(b"<--quiet><--wait><--collect><--pipe><--machine=deb><--uid=alice><--></bin/sh>")
    assert b"<echo 'a b' $$x; *>" in done.stderr
    assert b"--uid" not in mctl("--machine=deb", "ps", PATH=path).stderr


def test_in_a_machine_of_another_host(mctl: Callable[..., Result], path: str) -> None:
    assert mctl("-M", "deb", "-H", "h", "ps", PATH=path).stdout == b"(-M)(deb)(ps)"


@pytest.mark.parametrize("machine", ["", "-deb", "a b", "@deb", "a@b@c", "../deb", "deb\n"])
def test_what_is_no_machine(mctl: Callable[..., Result], path: str, machine: str) -> None:
    done = mctl("-M", machine, "ps", PATH=path)
    assert (done.returncode, b"is no machine" in done.stderr) == (125, True)


def test_without_systemd_run(mctl: Callable[..., Result], tmp_path: Path) -> None:
    done = mctl("-M", "deb", "ps", PATH=str(tmp_path))
    assert (done.returncode, b"-M needs systemd-run(1)" in done.stderr) == (125, True)
