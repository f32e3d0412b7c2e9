# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of Container.Exec asks for, judged and put in words before anybody is asked."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InvalidArgs
from . import openings, options
from .question import EXEC, EXEC_PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbus_next.signature import Variant

    from ..execution import Execution
    from .engine import Container
    from .question import Call, Question

_EFFECT = "execute $(command) in the container $(container)"


def question(about: Question, call: Call, command: Sequence[str], given: Mapping[str, Variant], flags: int) -> Question:
    """`about` is the container's. One's own privileged container is a way to more than one's own rights."""
    options.check_flags(flags, {options.ATTACH: "attach"})
    values = options.parse(given, options.EXEC)
    execution = options.execution(command, values)
    stdin, attach = openings.checked_stdin(call, values), bool(flags & options.ATTACH)
    _check_terminal(execution, stdin, attach=attach)
    said = {"command": shlex.join(execution.command), "user": str(execution.user) if execution.user else ""}
    return replace(
        about,
        actions=actions(about, call),
        args=(execution, stdin, attach),
        effect=_EFFECT + (" of user $(owner)" if about.subject else ""),
        details={**about.details, **{key: value for key, value in said.items() if value}},
        said=said,
        blind_effect=_EFFECT,
    )


def actions(about: Question, call: Call) -> tuple[str, ...]:
    """What it takes to execute anything at all there."""
    privileged = about.owner == call.uid and about.details.get("privileged") == "yes"
    return (EXEC_PRIVILEGED if privileged else EXEC,)


def forbidden(container: Container, call: Call) -> str:
    """Why nobody can allow it, empty if somebody can."""
    if call.uid != 0 and not container.spec.security.has_user_namespace:
        return f"container {container.name!r} has the host's user ids: only root may execute more in it"
    return ""


def _check_terminal(execution: Execution, stdin: int | None, *, attach: bool) -> None:
    if execution.terminal and stdin is not None:
        raise InvalidArgs("Stdin is given for a command with Terminal: what is typed there comes by the stream")
    if execution.terminal and not attach:
        raise InvalidArgs("Terminal is asked for without the flag attach: nobody would hold it")
