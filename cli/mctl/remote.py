# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl -H and -M: the same command line, executed on another host by ssh(1), or in a machine by systemd-run(1).

The bus of that host could be brought here by systemd-stdio-bridge, as systemctl does it. But descriptors pass no pipe,
and with them would go run, exec, logs, events, images and files; and a password would be asked for by an agent of
another host. Executed there, all of mctl works, with that host's version of it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from .failures import UsageError

if TYPE_CHECKING:
    from typing import NoReturn

    from .parser import Arguments

SSH = "ssh"
QUIETLY = ("-o", "LogLevel=ERROR")  # with -t alone each `ps` would end with "Connection to HOST closed."
UNTITLED = {"SYSTEMD_ADJUST_TERMINAL_TITLE": "0"}  # systemd 256 would make all of THERE the terminal's title
STREAM = "-"
# Through sh(1), whatever shell that user has: where mctl is not, shells say so each in its way, and name no host.
THERE = (
    'command -v mctl >/dev/null && exec mctl "$@"; '
    'echo "mctl: there is no mctl on $(uname -n), or not in PATH: install it there" >&2; exit 125'
)
PASSED = {"no_ask_password": "--no-ask-password", "no_pager": "--no-pager", "help": "--help", "version": "--version"}


def host(flag: str, text: str) -> str:
    """What ssh(1) takes for a destination, and nothing that it would take for an option."""
    if not text or text.startswith("-") or not text.isprintable() or " " in text:
        raise UsageError(f"{flag} {text[:80]!r} is no host: give [USER@]HOST or ssh://[USER@]HOST[:PORT]")
    name, colon, port = text.partition(":")
    if colon and port.isdigit():
        raise UsageError(f"{flag} {text[:80]!r} has a port: give ssh://{name}:{port}, as ssh(1) takes it")
    return text


def machine(flag: str, text: str) -> str:
    """[USER@]MACHINE, as machined and useradd(8) know them."""
    if not re.fullmatch(r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise UsageError(f"{flag} {text[:80]!r} is no machine: give [USER@]MACHINE, as `machinectl list` shows it")
    return text


def execute(before: Arguments) -> NoReturn:
    """In place of this process. `before`: what stands before the verb, and all the rest as operands."""
    rest = list(before.operands)
    flag = "-H" if before.get("host") else "-M"
    _refuse_files_of_two_hosts(flag, rest)
    words = [*(flag for key, flag in PASSED.items() if before.get(key)), *rest]
    if flag == "-M":
        command = _in_machine(before.get("machine"), words)
    else:
        inside = before.get("machine")
        command = _on_host(before.get("host"), [*(["-M", inside] if inside else []), *words])
    try:
        os.execvpe(command[0], command, {**UNTITLED, **os.environ})
    except OSError as error:
        raise UsageError(f"{flag} needs {command[0]}(1), which cannot be executed: {error.strerror}") from None


def _on_host(there: str, words: list[str]) -> list[str]:
    import shlex

    terminal = ["-t", *QUIETLY] if _on_terminal() else []
    return [SSH, *terminal, "--", there, shlex.join(["sh", "-c", THERE, "mctl", *words])]


def _in_machine(there: str, words: list[str]) -> list[str]:
    user, _, name = there.rpartition("@")
    start = [
        "systemd-run", "--quiet", "--wait", "--collect", "--pty" if _on_terminal() else "--pipe",
        f"--machine={name}", *([f"--uid={user}"] if user else []),
    ]  # fmt: skip
    # PID 1 there puts variables in place of $ in each word, and $ in place of $$, systemd.service(5).
    return [*start, "--", *(word.replace("$", "$$") for word in ("/bin/sh", "-c", THERE, "mctl", *words))]


def _on_terminal() -> bool:
    return all(os.isatty(fd) for fd in (0, 1, 2))


def _refuse_files_of_two_hosts(flag: str, words: list[str]) -> None:
    """Of cp one side would be meant to be here: a file of that host with the same path might be there."""
    if words[:1] == ["cp"] and STREAM not in words[1:]:
        there = f"{flag} {'HOST' if flag == '-H' else 'MACHINE'}"
        raise UsageError(
            f"with {flag} both sides of cp are there; through a stream it reaches this host: "
            f"tar c FILE | mctl {there} cp - NAME:DIRECTORY, or mctl {there} cp NAME:PATH - | tar x"
        )
