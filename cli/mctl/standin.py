# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the service on behalf of another user, by a short-lived process of that user's.

The rules of polkit can only be evaluated for a process that is there: they see its user, that user's groups, and the
session that its cgroup belongs to. So PID 1 starts one as a transient service, and the answer is what the service
says to that very user. A child of ours would not do: it would be in our own session, and polkit would take the other
user for one who sits where we sit.
"""

from __future__ import annotations

import json
import pwd
import subprocess
from typing import TYPE_CHECKING

from .client import CONTAINER
from .failures import Failure, UsageError
from .output import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .abilities import Answer

SECONDS = 20  # for the whole of a question; the service asks polkit for no longer either
AT_ONCE = 8
_CALL = ("busctl", "--system", "--json=short", "call", "org.mctl1")


class Situation:
    """Of whom is asked, and where that user would be."""

    __slots__ = ("session", "user")

    def __init__(self, user: pwd.struct_passwd, session: str = "") -> None:
        self.user = user
        self.session = session  # at a seat of this host; empty: in none, as from cron or over ssh

    @property
    def place(self) -> str:
        return f"at this host, in session {self.session}" if self.session else "elsewhere, in no session"

    def as_json(self, answer: Answer) -> dict[str, str]:
        said = dict(zip(("Answer", "Action", "Reason"), answer, strict=True))
        return {"User": self.user.pw_name, "Session": self.session, **said}

    def command(self, path: str, method: str) -> list[str]:
        # In the slice of a user polkit finds the user's session at a seat; in system.slice it finds none.
        slice_ = [f"--slice=user-{self.user.pw_uid}.slice"] if self.session else []
        start = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--uid={self.user.pw_uid}", *slice_]
        # ptrace(2) takes the capabilities of the process that is traced: if it had none, its user could change the
        # answer. This one is harmless, and nobody but root has it.
        bounded = [
            f"--property=RuntimeMaxSec={SECONDS}", "--property=NoNewPrivileges=yes",
            "--property=AmbientCapabilities=CAP_BLOCK_SUSPEND",
        ]  # fmt: skip
        return [*start, *bounded, *_CALL, path, CONTAINER, "Can", "as", "1", method]


def account(text: str) -> pwd.struct_passwd:
    """By name or number. Raises UsageError."""
    try:
        return pwd.getpwuid(int(text)) if text.isascii() and text.isdigit() else pwd.getpwnam(text)
    except (KeyError, OverflowError, ValueError):
        raise UsageError(f"there is no user {text[:80]!r} on this host; `getent passwd` lists them") from None


def situations(user: pwd.struct_passwd) -> list[Situation]:
    """Where the user can be asked for: always elsewhere, and at this host while there is a session there."""
    session = _said(["loginctl", "show-user", str(user.pw_uid), "--property=Display", "--value"])
    seat = session and _said(["loginctl", "show-session", session, "--property=Seat", "--value"])
    return [Situation(user), *([Situation(user, session)] if seat else [])]


def answers(asked: Sequence[Situation], path: str, method: str) -> list[Answer]:
    """In their order. Raises Failure."""
    found: list[Answer] = []
    for begin in range(0, len(asked), AT_ONCE):
        some = asked[begin : begin + AT_ONCE]
        running = [_started(situation.command(path, method)) for situation in some]
        found += [_answer(*each, method) for each in zip(some, running, strict=True)]
    return found


def _started(command: list[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise Failure(f"cannot ask as another user: {command[0]}: {error.strerror}", status=1) from None


def _answer(situation: Situation, running: subprocess.Popen[str], method: str) -> Answer:
    out, err = running.communicate(timeout=3 * SECONDS)
    try:
        told: Answer = tuple(json.loads(out)["data"][0][method])
    except (ValueError, LookupError, TypeError):
        why = printable(" ".join((err or out).split())[:300]) or f"status {running.returncode}"
        raise Failure(
            f"could not ask the service as {situation.user.pw_name}: {why}; this takes root, and systemd-run", status=1
        ) from None
    return told


def _said(command: list[str]) -> str:
    """Empty where logind does not know, or is not there."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
