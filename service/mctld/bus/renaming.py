# SPDX-License-Identifier: GPL-3.0-or-later
"""Rename of a container, judged before anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..spec import check_name
from . import options

if TYPE_CHECKING:
    from .question import Question


def question(about: Question, name: str, flags: int) -> Question:
    """`about` is the container's."""
    options.check_flags(flags, {})
    effect, said = "give the container $(container) the name $(new_name)", {"new_name": check_name(name)}
    return replace(
        about, args=(name,), effect=effect, details={**about.details, **said}, said=said, blind_effect=effect
    )
