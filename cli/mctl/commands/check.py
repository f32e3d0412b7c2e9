# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl check: what of the host is there, what is missing, and what to do; also where the service does not answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import VERSION
from ..client import MANAGER, PROPERTIES, ROOT, Call, unwrapped
from ..failures import Failure, UsageError
from ..formats import JSON
from ..output import printable, put, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..unreachable import explain, patient

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments
    from ..unreachable import Finding

COLOURS = {"ok": "32", "warning": "33", "missing": "1;31", "unknown": "36"}
HEADS = ("CHECK", "VERDICT", "FOUND")
NARROW = 60  # columns, below which wrapping makes nothing clearer

VERB = Verb(
    usage="[OPTION...]",
    options=(Option(("-q", "--quiet"), "only what is missing; nothing where nothing is"), JSON),
    notes="The exit status is 1 if something is missing, or if the service cannot be reached.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"check takes no names, but got {arguments.operands[0]!r}")
    findings = asked(client)
    style = arguments.get("json", "off")
    if style != "off":
        put_long(to_json(findings, pretty=style == "pretty"), arguments)
    elif arguments.get("quiet"):
        put(listing([f for f in findings if f["Verdict"] == "missing"], heads=False))
    else:
        put_long(f"{listing(findings, heads=True)}\n{summary(findings)}\n", arguments)
    return int(any(finding["Verdict"] == "missing" for finding in findings))


def asked(client: Client) -> list[Finding]:
    try:
        (found,) = patient(client, Call(ROOT, MANAGER, "Check"))
        (version,) = client.call(Call(ROOT, PROPERTIES, "Get", "ss", MANAGER, "Version"))
    except Failure as failure:
        reason = explain(client, failure)
        if reason is None:
            raise
        return [reason]
    return [answering(version[1]), *(unwrapped(each) for each in found)]


def answering(version: str) -> Finding:
    if version == VERSION:
        return {"Name": "service", "Verdict": "ok", "Found": f"mctld {version} answers", "Meaning": "", "Remedy": ""}
    return {
        "Name": "service",
        "Verdict": "warning",
        "Found": f"mctld {version} answers, and this is mctl {VERSION}",
        "Meaning": "Options that one of them does not know are refused.",
        "Remedy": "systemctl restart mctld.service",
    }


def listing(findings: list[Finding], *, heads: bool) -> str:
    width = max((len(f["Name"]) for f in findings), default=0)
    lines = [f"{HEADS[0]:<{width}}  {HEADS[1]}  {HEADS[2]}"] if heads else []
    for finding in findings:
        verdict = coloured(f"{finding['Verdict']:<7}", COLOURS.get(finding["Verdict"], ""))
        lines.append(f"{printable(finding['Name']):<{width}}  {verdict}  {printable(finding['Found'])}")
        if finding["Verdict"] != "ok":
            lines += advice(finding, " " * (width + 2))
    return "".join(f"{line}\n" for line in lines)


def advice(finding: Finding, indent: str) -> list[str]:
    remedy = f"Remedy: {finding['Remedy']}" if finding["Remedy"] else ""
    return [line for text in (finding["Meaning"], remedy) if text for line in wrapped(printable(text), indent)]


def wrapped(text: str, indent: str) -> list[str]:
    """As wide as the terminal; whole where there is none, for grep."""
    columns = os.get_terminal_size(1).columns if os.isatty(1) else 0
    if columns - len(indent) < NARROW:
        return [f"{indent}{text}"]
    import textwrap

    return textwrap.wrap(text, columns - 1, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def coloured(text: str, colour: str) -> str:
    """no-color.org: any value of NO_COLOR but the empty one asks for none."""
    plain = not colour or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or not os.isatty(1)
    return text if plain else f"\x1b[{colour}m{text}\x1b[0m"


def summary(findings: list[Finding]) -> str:
    verdicts = [finding["Verdict"] for finding in findings]
    if set(verdicts) == {"ok"}:
        return "Nothing is missing."
    missing, warned, unknown = (verdicts.count(verdict) for verdict in ("missing", "warning", "unknown"))
    warnings = f"{warned} warning{'s' if warned > 1 else ''}"
    counts = ((missing, f"{missing} missing"), (warned, warnings), (unknown, f"{unknown} unknown"))
    return f"{', '.join(text for number, text in counts if number)}."
