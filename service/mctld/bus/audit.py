# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of who was refused and who did what not everybody may: an entry of the journal each.

Refusals cost a caller nothing, so they are bounded: of one user only so many a minute are told one by one, beside the
first of each kind; the rest is counted by kind. What was granted has cost more than its entry, and is always told.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import origin
from .authority import RULES, Verdict, presentable, printable
from .question import (
    CREATE_PRIVILEGED,
    DAEMON_ADMIN,
    EXEC_PRIVILEGED,
    IMAGES_ADMIN,
    INSPECT,
    LIST,
    NETWORKS,
    PUBLISH_PRIVILEGED,
    UPDATE_PRIVILEGED,
    Question,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .authority import Judgement
    from .question import Call

MESSAGE_AUDIT = uuid.UUID("e46a1f3c08d24b0f9a5c7be2d1f60a93")
GRANTED, REFUSED, CHALLENGE = "granted", "refused", "challenge"
PRIORITIES = {GRANTED: 5, REFUSED: 5, CHALLENGE: 6}  # notice: it is normal, and worth finding
SAID = {GRANTED: "Granted", REFUSED: "Refused", CHALLENGE: "Not without a password"}
WINDOW = 60.0  # seconds
REFUSALS_MAX = 32  # of one user in that time, told one by one
NAMES_MAX = 16  # of what was asked for, told with a count

_PRIVILEGED = frozenset(
    {
        CREATE_PRIVILEGED, EXEC_PRIVILEGED, PUBLISH_PRIVILEGED, UPDATE_PRIVILEGED, NETWORKS, IMAGES_ADMIN,
        DAEMON_ADMIN,
    }
)  # fmt: skip
_LOOKING = frozenset({INSPECT, LIST})
_NEW = ("container", "network", "volume", "image")  # details that name what is to be made

_CONSTANT = {"MESSAGE_ID": MESSAGE_AUDIT.hex}

Kind = tuple[str, str]  # action, verdict


@dataclass(slots=True)
class _Untold:
    number: int = 0
    objects: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Window:
    """Refusals of one user. It ends with a minute in which nothing was left untold."""

    told: int
    kinds: dict[Kind, _Untold]
    timer: asyncio.TimerHandle


def is_privileged(call: Call, question: Question, annotation: str) -> bool:
    """What an administrator allows, and what is done to another user's things; but looking goes on always."""
    others = question.owner is not None and question.owner != call.uid
    return annotation in _PRIVILEGED or (others and annotation not in _LOOKING)


class Audit:
    """`send` takes a sentence and the entry's fields."""

    def __init__(self, send: Callable[..., object]) -> None:
        self._send = send
        self._windows: dict[int, _Window] = {}

    def note(self, call: Call, question: Question, annotation: str, judgement: Judgement) -> None:
        verdict = _verdict(judgement, call)
        action = judgement.action or _needed(call, question, annotation)
        if verdict != GRANTED:
            if self._is_to_be_told(call.uid, (action, verdict), _object(question)):
                self._write(call, question, verdict, action)
        elif is_privileged(call, question, annotation):
            self._write(call, question, verdict, action)

    def close(self) -> None:
        """Tells what was only counted."""
        for uid, window in self._windows.items():
            window.timer.cancel()
            self._sum_up(uid, window)
        self._windows.clear()

    def _is_to_be_told(self, uid: int, kind: Kind, what: str) -> bool:
        window = self._windows.get(uid)
        if window is None:
            timer = asyncio.get_running_loop().call_later(WINDOW, self._window_ends, uid)
            window = self._windows[uid] = _Window(0, {}, timer)
        if kind not in window.kinds or window.told < REFUSALS_MAX:
            window.kinds.setdefault(kind, _Untold())
            window.told += 1
            return True
        untold = window.kinds[kind]
        untold.number += 1
        if len(untold.objects) < NAMES_MAX:
            untold.objects[what] = None
        return False

    def _window_ends(self, uid: int) -> None:
        window = self._windows.pop(uid)
        if self._sum_up(uid, window):  # a flood that goes on is only counted
            window.timer = asyncio.get_running_loop().call_later(WINDOW, self._window_ends, uid)
            window.told = REFUSALS_MAX
            window.kinds = {kind: _Untold() for kind in window.kinds}
            self._windows[uid] = window

    def _sum_up(self, uid: int, window: _Window) -> bool:
        """Whether there was something untold."""
        counted = {kind: untold for kind, untold in window.kinds.items() if untold.number}
        for (action, verdict), untold in counted.items():
            some = ", ".join(untold.objects)
            self._send(
                f"{SAID[verdict]} to uid {uid} {untold.number} times more within {WINDOW:.0f} s ({action}): {some}",
                PRIORITY=PRIORITIES[verdict],
                MCTL_VERDICT=verdict,
                MCTL_ACTION=action,
                MCTL_CALLER_UID=str(uid),
                MCTL_TIMES=str(untold.number),
                MCTL_OBJECT=some,
                **_CONSTANT,
            )
        return bool(counted)

    def _write(self, call: Call, question: Question, verdict: str, action: str) -> None:
        who = origin.of(call.pid, call.uid)
        what = _object(question)
        new = "dangers" if question.container is None else "gained"  # of a change
        dangers = presentable(question.details.get(new, ""))
        command = presentable(question.said.get("command", ""))
        fields = {
            "MCTL_CALLER_PID": str(call.pid or ""),
            "MCTL_CALLER_COMM": printable(who.comm),
            "MCTL_CALLER_UNIT": presentable(who.unit),
            "MCTL_CALLER_SESSION": presentable(who.session),
            "MCTL_CALLER_LOGINUID": printable(who.login_uid),
            "MCTL_CONTAINER_NAME": what.removeprefix("container ") if what.startswith("container ") else "",
            "MCTL_CONTAINER_ID": question.details.get("id", ""),
            "MCTL_OWNER_UID": question.details.get("owner", ""),
            "MCTL_DANGERS": dangers,
            "MCTL_COMMAND": command,
        }
        place = f" in {presentable(who.unit)}" if who.unit else ""
        process = f" ({printable(who.comm)}[{call.pid}]{place})" if who.comm else ""
        more = "".join(f" {word} {text}" for word, text in (("with", dangers), ("command", command)) if text)
        by = action if call.uid else "root"
        self._send(
            f"{SAID[verdict]} to uid {call.uid}{process}: {question.verb} {what}{more} ({by})",
            PRIORITY=PRIORITIES[verdict],
            MCTL_VERDICT=verdict,
            MCTL_ACTION=action,
            MCTL_VERB=question.verb,
            MCTL_OBJECT=what,
            MCTL_CALLER_UID=str(call.uid),
            **{key: value for key, value in fields.items() if value},
            **_CONSTANT,
        )


def _needed(call: Call, question: Question, annotation: str) -> str:
    """Root is not asked about: what others would need is recorded, and one search finds all who have done it."""
    rule = RULES[annotation]
    return rule.action(call, question) if rule else ""


def _verdict(judgement: Judgement, call: Call) -> str:
    if judgement.verdict is Verdict.GRANTED:
        return GRANTED
    return CHALLENGE if judgement.verdict is Verdict.CHALLENGE and not call.interactive else REFUSED



def _object(question: Question) -> str:
    if question.container is not None:
        return f"{question.noun} {presentable(question.container)}"
    found = next(((kind, question.details[kind]) for kind in _NEW if question.details.get(kind)), None)
    return " ".join((found[0], presentable(found[1]))) if found else "nothing in particular"
