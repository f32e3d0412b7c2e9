# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of Container.Exec asks for, judged and put in words before anybody is asked."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from . import openings, options
from .question import EXEC, EXEC_PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbus_next.signature import Variant

    from .question import Call, Question

_EFFECT = "execute $(command) in the container $(container)"


def question(about: Question, call: Call, command: Sequence[str], given: Mapping[str, Variant], flags: int) -> Question:
    """`about` is the container's. One's own privileged container is a way to more than one's own rights."""
    options.check_flags(flags, {options.ATTACH: "attach"})
    values = options.parse(given, options.EXEC)
    execution = options.execution(command, values)
    stdin = openings.checked_stdin(call, values)
    said = {"command": shlex.join(execution.command), "user": str(execution.user) if execution.user else ""}
    privileged = about.owner == call.uid and about.details.get("privileged") == "yes"
    return replace(
        about,
        actions=(EXEC_PRIVILEGED if privileged else EXEC,),
        args=(execution, stdin, bool(flags & options.ATTACH)),
        effect=_EFFECT + (" of user $(owner)" if about.subject else ""),
        details={**about.details, **{key: value for key, value in said.items() if value}},
        said=said,
        blind_effect=_EFFECT,
    )
