# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that decides who may do what: owner, then polkit. No answer is a refusal."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from dbus_next.signature import Variant

from ..errors import AccessDenied, InteractiveAuthorizationRequired, MctlError
from .polkit import Polkit
from .question import (
    ATTACH,
    CREATE,
    CREATE_PRIVILEGED,
    DAEMON_ADMIN,
    EXEC,
    EXEC_PRIVILEGED,
    IMAGES,
    IMAGES_ADMIN,
    INSPECT,
    LIST,
    LOGS,
    MANAGE,
    MANAGE_IMAGE,
    MANAGE_UNITS,
    NETWORKS,
    PUBLIC,
    PUBLISH_PRIVILEGED,
    SET_LIMITS,
    UPDATE_PRIVILEGED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .polkit import Bus
    from .question import Call, Question
    from .turns import Turns

ALLOW_USER_INTERACTION = 1
PROMPT_SECONDS = 120
ANSWER_SECONDS = 25
ASKED_AT_ONCE = 2  # questions about one user that polkit alone decides: it takes one after the other, whosever it is
VALUE_MAX = 256  # characters of what a person is shown
GETTEXT_DOMAIN = "mctl"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """The polkit actions behind an annotation of the contract."""

    own: str
    other: str = ""  # for containers of other users, and for those that do not exist
    doing: str = ""

    def action(self, call: Call, question: Question) -> str:
        return self.own if _is_own(call, question) else self.other


RULES: Mapping[str, Rule | None] = {
    PUBLIC: None,
    LIST: Rule("org.mctl1.inspect-own"),
    INSPECT: Rule("org.mctl1.inspect-own", "org.mctl1.inspect-all", "seeing"),
    MANAGE: Rule("org.mctl1.manage-own", "org.mctl1.manage", "managing"),
    MANAGE_UNITS: Rule("org.mctl1.manage-units-own", "org.mctl1.manage-units", "deciding the start at boot of"),
    LOGS: Rule("org.mctl1.logs-own", "org.mctl1.logs", "reading the output of"),
    SET_LIMITS: Rule("org.mctl1.set-limits-own", "org.mctl1.set-limits", "changing the limits of"),
    UPDATE_PRIVILEGED: Rule("org.mctl1.create-privileged", "org.mctl1.create-privileged", "changing the limits of"),
    CREATE: Rule("org.mctl1.create"),
    CREATE_PRIVILEGED: Rule("org.mctl1.create-privileged"),
    ATTACH: Rule("org.mctl1.attach-own", "org.mctl1.attach", "attaching to"),
    NETWORKS: Rule("org.mctl1.network-admin", "org.mctl1.network-admin", "changing"),
    PUBLISH_PRIVILEGED: Rule("org.mctl1.create-privileged", "org.mctl1.create-privileged", "publishing ports of"),
    EXEC: Rule("org.mctl1.exec-own", "org.mctl1.exec", "executing commands in"),
    EXEC_PRIVILEGED: Rule("org.mctl1.exec", "org.mctl1.exec", "executing commands in"),
    IMAGES: Rule("org.mctl1.images", "org.mctl1.images", "making images of"),
    MANAGE_IMAGE: Rule("org.mctl1.manage-own", "org.mctl1.images-admin", "managing"),
    DAEMON_ADMIN: Rule("org.mctl1.daemon-admin"),
    IMAGES_ADMIN: Rule("org.mctl1.images-admin", "org.mctl1.images-admin", "sharing"),
}


_THINGS = {"image": "images", "job": "jobs", "network": "networks", "volume": "volumes"}


class Verdict(Enum):
    GRANTED = "granted"
    CHALLENGE = "a person could be asked"
    DENIED = "denied"
    SILENCE = "polkit does not answer"


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    why: str  # a sentence for the caller
    action: str = ""  # of polkit, where it was asked


def printable(value: str) -> str:
    """Without what could dress up a password prompt (control, bidi). Whole: rules must not judge by a beginning."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)


def presentable(value: str) -> str:
    """For people: printable, and no longer than they read."""
    return printable(value if len(value) <= VALUE_MAX else value[: VALUE_MAX - 3] + "...")


class Authority:
    """Asks polkit about a peer of the bus; root is not asked about."""

    def __init__(self, bus: Bus, note: Callable[[Call, Question, str, Judgement], None], turns: Turns) -> None:
        """`note` is told of each judgement that something follows from, with the annotation that was judged by."""
        self._polkit = Polkit(bus)
        self._note = note
        self._turns = turns
        self._lines: dict[int, asyncio.Semaphore] = {}
        self._cancellations = itertools.count(1)

    async def check(self, call: Call, question: Question) -> None:
        """Returns if the call may go on, else raises AccessDenied or InteractiveAuthorizationRequired."""
        for annotation, rule in _rules(question):
            judgement = await self._decide(call, question, rule)
            self._note(call, question, annotation, judgement)
            _judge(judgement, call)

    def note_refusal(self, call: Call, question: Question, why: str) -> None:
        """For the record: polkit has let the call through, and the object itself has refused it."""
        for annotation, rule in _rules(question)[-1:]:
            self._note(call, question, annotation, Judgement(Verdict.DENIED, why, rule.action(call, question)))

    async def foresee(self, call: Call, question: Question) -> Judgement:
        """What check() would come to now; never asks a person."""
        call = replace(call, interactive=False)
        judgement = Judgement(Verdict.GRANTED, "everybody may do this")
        for _, rule in _rules(question):
            judgement = await self._decide(call, question, rule)
            if judgement.verdict is not Verdict.GRANTED:
                break
        return judgement

    async def sees_all(self, call: Call) -> bool:
        """Whether containers of other users may be listed; never asks a person."""
        if call.uid == 0:
            return True
        action = "org.mctl1.inspect-all"
        return await self._ask(call, action, {"verb": "list"}, interactive=False) is Verdict.GRANTED

    async def _decide(self, call: Call, question: Question, rule: Rule) -> Judgement:
        if call.uid == 0:
            log.debug("root: %s %s", question.verb, question.container)
            return Judgement(Verdict.GRANTED, "root may do everything")
        action = rule.action(call, question)
        if _is_own(call, question):
            sentence = f"this call ({question.verb}) needs authorization{_dangers(question)}"
            verdict = await self._ask(call, action, _details(question), interactive=call.interactive)
        else:
            things = _THINGS.get(question.noun, "containers")
            sentence = (
                f"there is no {question.noun} {presentable(question.container or '')!r} of yours, "
                f"and {rule.doing} other users' {things} needs authorization"
            )
            verdict = await self._ask_blindly(call, action, question)
        return Judgement(verdict, _told(verdict, sentence, action), action)

    async def _ask_blindly(self, call: Call, action: str, question: Question) -> Verdict:
        """For a container that is another's or nobody's: the caller must not be able to tell which.

        The rules judge by all details. But the prompt and the details reach the caller's own agent, so the question
        that may open one holds nothing that the caller did not say.
        """
        verdict = await self._ask(call, action, _details(question), interactive=False)
        if verdict is not Verdict.CHALLENGE or not call.interactive:
            return verdict
        # A rule that grants what it cannot see ("yes, unless a label says production") must not grant this way.
        blind = _blind_details(question)
        if await self._ask(call, action, blind, interactive=False) is not Verdict.CHALLENGE:
            return Verdict.DENIED
        return await self._ask(call, action, blind, interactive=True)

    async def _ask(self, call: Call, action: str, details: Mapping[str, str], *, interactive: bool) -> Verdict:
        cancellation = f"mctl-{next(self._cancellations)}"
        body = [
            ["system-bus-name", {"name": Variant("s", call.sender)}],  # never by pid: CVE-2013-4288
            action,
            dict(details),
            ALLOW_USER_INTERACTION if interactive else 0,
            cancellation,
        ]
        try:
            async with asyncio.timeout(PROMPT_SECONDS if interactive else ANSWER_SECONDS):
                if interactive:  # people take their time, and polkit answers others meanwhile
                    answer = await self._put(body, cancellation)
                else:
                    async with self._lines.setdefault(call.uid, asyncio.Semaphore(ASKED_AT_ONCE)):
                        answer = await self._put(body, cancellation)
        except TimeoutError:
            return Verdict.SILENCE
        except MctlError as error:
            log.debug("polkit on %s: %s", action, error)
            return Verdict.SILENCE
        await self._turns.take(call.uid)
        return _verdict(answer)

    async def _put(self, body: list[object], cancellation: str) -> list[Any]:
        try:
            return await self._polkit.check(body)
        except asyncio.CancelledError:
            self._polkit.cancel(cancellation)
            raise


def _verdict(answer: list[Any]) -> Verdict:
    match answer:
        case [[True, bool(), dict()]]:
            return Verdict.GRANTED
        case [[False, True, dict()]]:
            return Verdict.CHALLENGE
        case [[False, False, dict()]]:
            return Verdict.DENIED
    return Verdict.SILENCE


def _rules(question: Question) -> list[tuple[str, Rule]]:
    """By annotation."""
    return [(annotation, rule) for annotation in question.actions if (rule := RULES[annotation]) is not None]


def _is_own(call: Call, question: Question) -> bool:
    """The caller's own things, and what is not there yet."""
    return question.container is None or question.owner == call.uid


def _dangers(question: Question) -> str:
    """What in a new container takes an administrator's consent: else people guess which of their options it was."""
    found = question.details.get("dangers") if question.container is None else None
    return f", since the container would have {presentable(found)}" if found else ""


def _told(verdict: Verdict, sentence: str, action: str) -> str:
    match verdict:
        case Verdict.GRANTED:
            return f"polkit allows it ({action})"
        case Verdict.SILENCE:
            return "polkit does not answer, so only root may do this: `systemctl status polkit` may say why"
    return f"{sentence} ({action})"


def _judge(judgement: Judgement, call: Call) -> None:
    if judgement.verdict is Verdict.GRANTED:
        return
    if judgement.verdict is Verdict.CHALLENGE and not call.interactive:
        raise InteractiveAuthorizationRequired(f"{judgement.why}; allow interaction to be asked for a password")
    raise AccessDenied(judgement.why)


def _details(question: Question) -> dict[str, str]:
    details = {question.noun: question.container or "", "verb": question.verb, **question.details}
    shown = {printable(key): printable(value) for key, value in details.items() if value}
    return {**shown, **_message(question.effect)}


def _blind_details(question: Question) -> dict[str, str]:
    name = presentable(question.container or "")
    effect = question.blind_effect or f"{question.verb} the {question.noun} $({question.noun})"
    said = {key: printable(value) for key, value in question.said.items() if value}
    return {question.noun: name, "verb": question.verb, **said, **_message(f"{effect}, which is not yours")}


def _message(effect: str) -> dict[str, str]:
    message = f"Authentication is required to {effect}."  # polkit puts the details in place of $(...)
    return {"polkit.message": message, "polkit.gettext_domain": GETTEXT_DOMAIN}
