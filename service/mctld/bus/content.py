# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls for images made of containers, and of images, ask for; judged before anybody is asked."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..reference import Reference
from . import openings, options
from .deriving import COMMIT, DERIVE, configurer
from .question import IMAGES, MANAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .question import Call, Question

EXPORT = {"Pause": "b"}


def exporting(about: Question, call: Call, output: int, given: Mapping[str, Any], flags: int) -> Question:
    """Read as a whole, what is in a container is as much as to manage it."""
    options.check_flags(flags, {})
    values = options.parse(given, EXPORT)
    openings.check_output(call.fds.peek(output))
    return replace(about, actions=(MANAGE,), args=(output, values.get("Pause", True)), ends_with_caller=True)


def listing(about: Question, call: Call, output: int, flags: int) -> Question:
    """Names of files tell much of what is in them: as much as to read them."""
    options.check_flags(flags, {})
    openings.check_output(call.fds.peek(output))
    effect = "list the files that the container $(container) has changed"
    owned = "list the files that the container $(container) of user $(owner) has changed"
    return replace(
        about, actions=(MANAGE,), args=(output,), ends_with_caller=True,
        effect=owned if about.subject else effect, blind_effect=effect,
    )  # fmt: skip


def committing(about: Question, given: Mapping[str, Any], flags: int) -> Question:
    options.check_flags(flags, {})
    values = options.parse(given, COMMIT)
    names = references(values)
    pause, private = values.get("Pause", True), values.get("Private", False)
    effect = "make the image $(reference) of the container $(container)" if names else "make an image of $(container)"
    return replace(
        about,
        actions=(MANAGE, IMAGES),
        args=(names, configurer(values, time.time()), private, pause),
        effect=effect + (" of user $(owner)" if about.subject else ""),
        details={**about.details, "reference": " ".join(map(str, names))},
        said={"reference": " ".join(map(str, names))},
        blind_effect=effect,
    )


def deriving(call: Call, given: Mapping[str, Any]) -> tuple[list[Reference], int | None, Any, bool]:
    """Names, archive, what makes the configuration, and whether it is private."""
    values = options.parse(given, DERIVE)
    archive = values.get("Archive")
    if archive is not None:
        openings.check_archive(call.fds.peek(archive))
    return references(values), archive, configurer(values, time.time()), values.get("Private", False)


def references(values: Mapping[str, Any]) -> list[Reference]:
    return [Reference.parse(values["Name"])] if "Name" in values else []


def warnings(left_out: int) -> list[str]:
    return [f"{left_out} device nodes and sockets were left out, which no layer holds"] if left_out else []
