# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of a container or of an exec, and with which rights it runs: config.md#process of the specification."""

from __future__ import annotations

from .. import capability
from ..errors import InvalidArgs
from .reading import UINT64_MAX
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Value

RLIMITS = (
    "AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO",
    "RTTIME", "SIGPENDING", "STACK",
)  # fmt: skip
UNKNOWN_TO_PYTHON = ("LOCKS",)  # getrlimit(2): without effect since Linux 2.4.25
POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}
TIMES = ("runtime", "deadline", "period")
# linux/sched.h, without those for which the specification has no values (UTIL_CLAMP_MIN and _MAX).
SCHEDULING_FLAGS = {
    f"SCHED_FLAG_{name}": bit for name, bit in (
        ("RESET_ON_FORK", 1), ("RECLAIM", 2), ("DL_OVERRUN", 4), ("KEEP_POLICY", 8), ("KEEP_PARAMS", 16),
    )
}  # fmt: skip
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
ROWS_MAX = 65535


@value(frozen=True)
class Capabilities:
    """The five sets of capabilities(7), names without CAP_."""

    bounding: tuple[str, ...]
    effective: tuple[str, ...]
    inheritable: tuple[str, ...]
    permitted: tuple[str, ...]
    ambient: tuple[str, ...]


@value(frozen=True)
class Scheduler:
    policy: int
    flags: int
    nice: int | None  # None: as it is
    priority: int
    times: tuple[int, int, int]  # nanoseconds of SCHED_DEADLINE: runtime, deadline, period


@value(frozen=True)
class Process:
    args: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    working_directory: str
    terminal: bool
    window: tuple[int, int]  # rows and columns, 0 where nobody knows
    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    umask: int | None
    capabilities: Capabilities
    unknown_capabilities: tuple[str, ...]
    rlimits: tuple[tuple[str, int, int], ...]
    no_new_privileges: bool
    oom_score_adjust: int | None
    apparmor: str
    selinux: str
    scheduler: Scheduler | None
    io_priority: tuple[int, int] | None
    initial_affinity: str
    final_affinity: str


def read(process: Value) -> Process:
    user, size = process["user"], process["consoleSize"]
    terminal = process["terminal"].boolean()
    known, unknown = _capabilities(process["capabilities"])
    return Process(
        args=_arguments(process["args"]),
        environment=tuple(_variable(item) for item in process["env"].items()),
        working_directory=process["cwd"].absolute(),
        terminal=terminal,
        window=(size["height"].number(0, ROWS_MAX, 0), size["width"].number(0, ROWS_MAX, 0)) if terminal else (0, 0),
        uid=user["uid"].identifier() if user["uid"].given else 0,
        gid=user["gid"].identifier() if user["gid"].given else 0,
        additional_gids=tuple(gid.identifier() for gid in user["additionalGids"].items()),
        umask=user["umask"].optional_number(0, 0o777),
        capabilities=known,
        unknown_capabilities=unknown,
        rlimits=_rlimits(process["rlimits"]),
        no_new_privileges=process["noNewPrivileges"].boolean(),
        oom_score_adjust=process["oomScoreAdj"].optional_number(-1000, 1000),
        apparmor=process["apparmorProfile"].text(""),
        selinux=process["selinuxLabel"].text(""),
        scheduler=_scheduler(process["scheduler"]),
        io_priority=_io_priority(process["ioPriority"]),
        initial_affinity=process["execCPUAffinity"]["initial"].text(""),
        final_affinity=process["execCPUAffinity"]["final"].text(""),
    )


def _arguments(given: Value) -> tuple[str, ...]:
    arguments = given.texts()
    if not arguments or not arguments[0]:
        raise given.error("it must name a command")
    return arguments


def _variable(item: Value) -> tuple[str, str]:
    """environ(7) allows entries that are no assignments, but nothing can read them: they are kept as empty ones."""
    name, _, text = item.text().partition("=")
    if not name:
        raise item.error("it must be NAME=VALUE")
    return name, text


def _capabilities(given: Value) -> tuple[Capabilities, tuple[str, ...]]:
    """Absent: none. What is not known here is left out and warned of, config.md#linux-process."""
    sets = {name: given[name].texts() for name in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    unknown: dict[str, None] = {}
    known: dict[str, tuple[str, ...]] = {}
    for name, listed in sets.items():
        plain = [text.upper().removeprefix("CAP_") for text in listed]
        unknown |= dict.fromkeys(text for text in plain if text not in capability.NUMBERS)
        known[name] = tuple(dict.fromkeys(text for text in plain if text in capability.NUMBERS))
    return Capabilities(**known), tuple(unknown)


def _rlimits(given: Value) -> tuple[tuple[str, int, int], ...]:
    found: dict[str, tuple[str, int, int]] = {}
    for item in given.items():
        name = item["type"].choice({f"RLIMIT_{name}": name for name in RLIMITS})
        soft, hard = item["soft"].number(0, UINT64_MAX), item["hard"].number(0, UINT64_MAX)
        if soft > hard:
            raise item["soft"].error(f"it must not be above the hard limit of {hard}")
        if name in found:
            raise InvalidArgs(f"{given.path} has RLIMIT_{name} twice")
        if name in UNKNOWN_TO_PYTHON:
            continue
        found[name] = (name, soft, hard)
    return tuple(found.values())


def _scheduler(given: Value) -> Scheduler | None:
    if not given.given:
        return None
    runtime, deadline, period = (given[key].number(0, UINT64_MAX, 0) for key in TIMES)
    return Scheduler(
        policy=given["policy"].choice(POLICIES),
        flags=sum({flag.choice(SCHEDULING_FLAGS) for flag in given["flags"].items()}),
        nice=given["nice"].optional_number(-20, 19),
        priority=given["priority"].number(0, 99, 0),
        times=(runtime, deadline, period),
    )


def _io_priority(given: Value) -> tuple[int, int] | None:
    if not given.given:
        return None
    return given["class"].choice(IO_CLASSES), given["priority"].number(0, 7)
