# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl top: the processes of a container, as it sees them and as the host does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import CONTAINER, Call, unwrapped
from ..failures import UsageError
from ..formats import JSON
from ..names import call_on
from ..output import table, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..similarity import suggestion
from ..sizes import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import Client
    from ..parser import Arguments

Process = dict[str, Any]
NOBODY = 2**32 - 1
USUAL = ("user", "pid", "ppid", "hpid", "stat", "rss", "etime", "time", "args")


def clock(usec: int) -> str:
    """[[DAYS-]HOURS:]MINUTES:SECONDS, as ps(1) has it."""
    minutes, seconds = divmod(usec // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    front = f"{days}-{hours:02}:" if days else f"{hours:02}:" if hours else ""
    return f"{front}{minutes:02}:{seconds:02}"


def command(process: Process) -> str:
    return " ".join(process["Command"]) or f"[{process['Name']}]"


FIELDS: dict[str, Callable[[Process], str]] = {
    "args": command,
    "comm": lambda process: str(process["Name"]),
    "etime": lambda process: clock(process["ElapsedUSec"]),
    "hpid": lambda process: str(process["PID"]),
    "huser": lambda process: str(process["UID"]),
    "pid": lambda process: str(process["ContainerPID"]),
    "ppid": lambda process: str(process["ContainerParentPID"]),
    "rss": lambda process: readable(process["MemoryResident"]),
    "stat": lambda process: str(process["State"]),
    "time": lambda process: clock(process["CPUUsageUSec"]),
    "user": lambda process: str(process["ContainerUID"]) if process["ContainerUID"] != NOBODY else "nobody",
}
ALIASES = {
    "command": "args",
    "cmd": "args",
    "uid": "user",
    "huid": "huser",
    "s": "stat",
    "state": "stat",
    "cputime": "time",
}

PS_LETTERS = frozenset("aefux")  # `aux` and `ef` say to ps(1) what is so here anyway

VERB = Verb(
    usage="[OPTION...] NAME [FIELD...]",
    options=(
        Option(("-o",), "these fields", value="FIELD,...", repeat=True),
        Option(("-a", "-e", "-f", "-u", "-x"), "accepted, as in -ef and -aux: all processes are shown"),
        JSON,
    ),
    notes=(
        f"Fields are {', '.join(sorted(FIELDS))};\nseveral may stand in one word, with commas between.\n"
        "pid, ppid and user are those inside the container, hpid and huser the host's."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if not arguments.operands:
        raise UsageError("one container must be named: mctl top NAME [FIELD...]")
    name, *words = arguments.operands
    if words and PS_LETTERS.issuperset(words[0]):
        words = words[1:]
    words = [word.partition("=")[0] for word in (*words, *arguments.get("o", []))]
    fields = [field(each) for word in words for each in word.split(",") if each] or list(USUAL)
    (found,) = call_on(client, name, Call("", CONTAINER, "GetProcesses", "t", 0))
    processes = [unwrapped(each) for each in found]
    style = arguments.get("json", "off")
    if style != "off":
        put_long(to_json(processes, pretty=style == "pretty"), arguments)
    else:
        rows = [[FIELDS[each](process) for each in fields] for process in processes]
        put_long(table([each.upper() for each in fields], rows), arguments)
    return 0


def field(text: str) -> str:
    name = ALIASES.get(text.lower(), text.lower())
    if name not in FIELDS:
        raise UsageError(
            f"{text[:80]!r} is no field{suggestion(name, list(FIELDS))}; there are {', '.join(sorted(FIELDS))}"
        )
    return name
