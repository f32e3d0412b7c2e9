# SPDX-License-Identifier: GPL-3.0-or-later
"""The help texts, made from the same tables that the command line is parsed by, for a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import VERSION
from .parser import ALIASES, COMMON, GLOBAL, GROUPS, VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .parser import Option, Request

WIDTH = 30
COLUMNS = 80


def overview(request: Request) -> str:
    """The text for no verb in particular: the version, or the list of verbs, all or those of a group."""
    if request.before.get("version"):
        return f"mctl {VERSION}\n"
    if request.name in GROUPS:
        return group_help(request.name)
    return (
        "Usage: mctl [OPTION...] VERB [...]\n\n"
        "Runs containers on this host, through the service org.mctl1.\n\n"
        f"Verbs:\n{summaries(VERBS)}\nOptions:\n{options_text(GLOBAL)}\n"
        "`mctl VERB --help` explains a verb; mctl(1) explains all.\n"
    )


def group_help(group: str) -> str:
    """The verbs of two words that begin so, most of which have a short name too."""
    whole = sorted(verb for verb in (*VERBS, *ALIASES) if verb.startswith(f"{group} "))
    own = {verb: VERBS[ALIASES.get(verb, verb)] for verb in whole}
    return (
        f"Usage: mctl {group} VERB [...]\n\nVerbs:\n{summaries(own)}\nOptions:\n{options_text(COMMON)}\n"
        f"`mctl {group} VERB --help` explains a verb; mctl(1) explains all.\n"
    )


def summaries(verbs: dict[str, str]) -> str:
    return "".join(f"  {name:<{WIDTH - 2}}{beside(summary)}\n" for name, summary in verbs.items())


def verb_help(request: Request) -> str:
    verb = request.verb
    if verb is None:
        return overview(request)
    summary = VERBS[request.name]
    notes = f"\n{filled(verb.notes)}\n" if verb.notes else ""
    usage = filled(f"Usage: mctl {request.name} {verb.usage}", " " * len("Usage: "))
    return (
        f"{usage}\n\n{filled(f'{summary[0].upper()}{summary[1:]}.')}\n\n"
        f"Options:\n{options_text((*verb.options, *GLOBAL[:3]))}{notes}"
    )


def filled(text: str, indent: str = "", *, columns: int = COLUMNS) -> str:
    """One paragraph. What follows its first line is indented."""
    from textwrap import fill

    return fill(text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def beside(text: str) -> str:
    """In the right column, whose first line stands beside something."""
    return filled(text, columns=COLUMNS - WIDTH).replace("\n", f"\n{' ' * WIDTH}")


def options_text(options: Iterable[Option]) -> str:
    return "".join(option_text(option) for option in options)


def option_text(option: Option) -> str:
    short = [name for name in option.names if len(name) == 2]
    long = [name for name in option.names if len(name) > 2]
    lead = f"{', '.join(short)}, " if short and long else (", ".join(short) or "    ")
    value = ""
    if option.value:
        value = f"[={option.value}]" if option.implied is not None else f" {option.value}"
    left = f"  {lead}{', '.join(long)}{value}"
    gap = " " * (WIDTH - len(left)) if len(left) < WIDTH - 1 else f"\n{' ' * WIDTH}"
    return f"{left}{gap}{beside(option.help)}\n"
