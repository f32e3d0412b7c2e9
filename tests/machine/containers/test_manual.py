# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of mctl(1) and org.mctl1(5), typed in their order: they work, and print what stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Mctl

PAGES = Path(__file__).parents[3] / "packaging" / "man"
BLOCK = re.compile(r"^\.EX\n(.*?)^\.EE$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^[#$] \\fB(.*)\\fP$")
ROFF = {r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\e": "\\"}
HERE = "/srv/manual"
BEFORE = (  # what the reader is supposed to have: a registry's image, and a container that has failed
    f"rm -rf {HERE} /srv/box; mkdir -p {HERE}; mctl import --busybox docker.io/library/nginx; "
    "mkdir -p /srv/failing/bin; cp /bin/busybox /srv/failing/bin/sh; "
    "mctl run --name failing /srv/failing sh -c 'exit 4'; true"
)
LIMITS = " -m 64m --cpu 0.5 --pids 50"  # machines of this kind have no controllers for
LEAVE, END = r"\020\021", r"exit\n"  # ctrl-p ctrl-q, and what ends the shell
SEEN, OVER = "/tmp/seen", "/tmp/over"


def examples(page: str) -> list[tuple[list[str], list[str]]]:
    """Of each block the commands, and what they print as far as it is said."""
    text = (PAGES / page).read_text().partition(".SH EXAMPLES")[2]
    found = []
    for block in BLOCK.findall(text):
        commands, output = list[str](), list[str]()
        for line in block.splitlines():
            command = COMMAND.match(line)
            (commands if command else output).append(plain(command[1] if command else line).replace(LIMITS, ""))
        found.append((commands, output))
    return found


def plain(line: str) -> str:
    for escape, character in ROFF.items():
        line = line.replace(escape, character)
    assert "\\(" not in line
    return line


def at_terminal(command: str, typed: str) -> str:
    """script(1) gives it one; who types stays for as long as the command does.

    What is typed early is kept for the command, but for ctrl-q, which a terminal takes for itself until it is asked not
    to: whoever leaves by it waits for the prompt.
    """
    ended = f"[ -e {OVER} ]"
    ready = f"grep -q ' # ' {SEEN} || {ended}" if typed == LEAVE else "true"
    person = f"until {ready}; do sleep 0.1; done; printf '{typed}'; until {ended}; do sleep 0.1; done"
    played = f"script -qefc {quoted(command)} {SEEN}; touch {OVER}"
    return f"rm -f {SEEN} {OVER}; touch {SEEN}; ({person}) | ({played}); rm {SEEN} {OVER}"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.nspawn
def test_each_example(images: Mctl) -> None:
    mctl = images
    mctl.shell(BEFORE)
    found = examples("mctl.1")
    assert len(found) > 7
    for commands, output in found:
        keys = iter((LEAVE, END))
        typed = [at_terminal(c, next(keys)) if re.search(r"run -it|attach", c) else c for c in commands]
        done = mctl.shell(f"cd {HERE}\n" + "\n".join(typed), timeout=120)
        assert done.stderr == b"", commands
        if output:
            assert done.text.splitlines()[-len(output) :] == output, commands
        if "state=exited" in commands[-1]:
            assert "4 failing" in done.text
    assert mctl.shell(f"cat {HERE}/copy").text == "important\n"
    names = mctl("ps", "-a", "-q").text.split()
    mctl("rm", "-f", "-v", *names)
    mctl("volume", "rm", "pages")
    mctl.shell(f"rm -rf {HERE} /srv/box /srv/failing")


@pytest.mark.nspawn
def test_each_example_of_the_interface(images: Mctl) -> None:
    mctl = images
    mctl("import", "--busybox")
    *blocks, (commands, program) = examples("org.mctl1.5.in")
    assert (len(blocks), commands) == (2, [])
    mctl.machine.write("/tmp/follower.py", "\n".join(program))
    mctl("create", "--name", "there", "busybox", "true")
    seen = "/tmp/followed"
    follower = f"timeout 120 python3 /tmp/follower.py > {seen} 2>&1 & echo $! > /tmp/follower.pid"
    mctl.shell(f"{follower}; timeout 60 sh -c 'until grep -q there {seen}; do sleep 0.1; done'")
    for commands, output in blocks:
        done = mctl.shell("\n".join(commands), timeout=120)
        assert done.stderr == b"", commands
        assert done.text.splitlines()[-len(output) :] == output, commands
    ended = f"timeout 60 sh -c 'until grep -q my_2dweb.*exited {seen}; do sleep 0.1; done'"
    mctl.shell(f"{ended}; kill $(cat /tmp/follower.pid)")
    lines = mctl.shell(f"cat {seen}; rm {seen} /tmp/follower.py /tmp/follower.pid").text.splitlines()
    assert lines[0] == "/org/mctl1/container/there created"
    assert "/org/mctl1/container/my_2dweb running" in lines
    mctl("rm", "there")
    mctl("rmi", "busybox")
