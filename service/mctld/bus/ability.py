# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may do, told in advance: the members called Can. Nobody is asked for a password, nothing is done.

The answers are those of login1's CanReboot. Who is authorized comes first: only one who is learns what the state of a
container allows, so that another's container and none at all look the same here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..bounds import shown
from ..errors import InvalidArgs
from ..state import State
from .authority import Verdict
from .question import CREATE, CREATE_PRIVILEGED, IMAGES, NETWORKS, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .authority import Judgement
    from .engine import Container
    from .question import Call

CAN = "Can"
YES, NO, CHALLENGE, NOT_NOW = "yes", "no", "challenge", "na"
_ANSWERS = {Verdict.GRANTED: YES, Verdict.CHALLENGE: CHALLENGE, Verdict.DENIED: NO, Verdict.SILENCE: NO}

_EVERY = frozenset(State)
_READABLE = _EVERY - {State.UNREADABLE}
_AT_REST = frozenset(s for s in State if s.can_start)
_SIGNALLED = frozenset(s for s in State if s.can_be_signalled)
# In which states a method of org.mctl1.Container does what it is for. Every method stands here, or is STATELESS.
STATES: Mapping[str, frozenset[State]] = {
    "Start": _AT_REST,
    "StartAttached": _AT_REST,
    "Attach": _SIGNALLED,
    "Resize": _SIGNALLED,
    "Stop": frozenset(s for s in State if s.is_active) | {State.RESTARTING},
    "Restart": _READABLE,
    "Kill": _SIGNALLED,
    "Remove": frozenset(s for s in State if s.can_remove),
    "Exec": _SIGNALLED - {State.PAUSED},
    "Enable": _READABLE,
    "Freeze": frozenset({State.RUNNING}),
    "Thaw": frozenset({State.PAUSED}),
    "Update": _READABLE,
    "Export": _READABLE - {State.STARTING, State.STOPPING},
    "Commit": _READABLE - {State.STARTING, State.STOPPING},
    "ListChanges": _READABLE,
    "Rename": _AT_REST - {State.RESTARTING},
    "GetProcesses": _SIGNALLED,
    "CopyIn": _READABLE,
    "CopyOut": _READABLE,
    "Connect": _READABLE,
    "Disconnect": _READABLE,
    "Publish": _READABLE,
    "Unpublish": _READABLE,
}
STATELESS = frozenset({"Disable", "OpenLog", "FollowLog"})
_TERMINAL = frozenset({"Resize"})
_LASTING = frozenset({"Enable"})  # not for what is removed at its end
_HINTS = {"Remove": "; the flag force removes it all the same"}


PRIVILEGED = "Privileged"  # no method: to make a container with anything that dangers.py names
# Methods of org.mctl1.Manager that make something: what they take, and the verb by which rules judge.
MAKING: Mapping[str, tuple[str, str]] = {
    "CreateContainer": (CREATE, "create"),
    "RunContainer": (CREATE, "run"),
    "CreateVolume": (CREATE, "create-volume"),
    "CreateNetwork": (NETWORKS, "create-network"),
    "ImportImage": (IMAGES, "import"),
    "DeriveImage": (IMAGES, "derive"),
    "LoadImages": (IMAGES, "load"),
    "PullImage": (IMAGES, "pull"),
}


class Judge(Protocol):
    async def foresee(self, call: Call, question: Question) -> Judgement: ...


Answers = dict[str, list[str]]


def wanted(names: Sequence[str], methods: Iterable[str]) -> tuple[str, ...]:
    """Each of these names once, all that there are where none is given. Raises InvalidArgs."""
    known = [name for name in methods if name != CAN]
    for name in names:
        if name not in known:
            raise InvalidArgs(f"there is no method {shown(name)} to ask about: known are {', '.join(known)}")
    return tuple(dict.fromkeys(names or known))


async def answers(
    judge: Judge, call: Call, questions: Iterable[tuple[str, Question]], hindrance: Callable[[str], tuple[str, str]]
) -> Answers:
    """One after the other: the questions of one caller shall not fill polkitd's queue. `hindrance` of a member is what
    else is in the way, for one who is authorized: answer and reason, both empty for nothing.
    """
    found: Answers = {}
    for name, question in questions:
        judgement = await judge.foresee(call, question)
        answer, why = _ANSWERS[judgement.verdict], judgement.why
        hindered = hindrance(name) if answer == YES else ("", "")
        answer, why = hindered if hindered[0] else (answer, why)
        found[name] = [answer, judgement.action, why]
    return found


def hindrance(container: Container, member: str) -> str:
    """Why the container as it is now does not let `member` do what it is for; empty if it does."""
    states = STATES.get(member, _EVERY)
    if container.state not in states:
        needed = " or ".join(s.value for s in State if s in states)
        return f"container {container.name!r} is {container.state.value}: it must be {needed}{_HINTS.get(member, '')}"
    if member in _TERMINAL and not container.spec.terminal:
        return f"container {container.name!r} has no terminal"
    if member in _LASTING and container.spec.auto_remove:
        return f"container {container.name!r} is removed when it ends (AutoRemove)"
    return ""



def making(call: Call, name: str) -> Question:
    """As much of the question behind a method of org.mctl1.Manager as can be known before its options are."""
    if name == PRIVILEGED:
        return Question((CREATE_PRIVILEGED,), verb="create", details={"owner": str(call.uid), "privileged": "yes"})
    action, verb = MAKING[name]
    return Question((action,), verb=verb, details={"owner": str(call.uid)})
