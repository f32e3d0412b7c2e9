# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process was born with: nothing of the service, the spawner or the caller may show.

Taken before anything else happens. Python ignores SIGPIPE and SIGXFSZ by itself, so these two are left out of the
ignored signals here; a static program's /proc/self/status shows them exactly.
"""

from __future__ import annotations

import ctypes
import os
import resource

from .calls import call, prctl
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_SECUREBITS = 2, 3, 7, 27
PR_GET_CHILD_SUBREAPER, PR_GET_THP_DISABLE = 37, 42
IOPRIO_WHO_PROCESS = 1
PYTHONS = 1 << 12 | 1 << 24  # SIGPIPE is 13, SIGXFSZ 25; bit 0 is signal 1


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: value.strip() for name, value in fields.items()}


def _descriptors() -> list[int]:
    """Without the one that lists them."""
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    found = sorted(int(name) for name in os.listdir(listing))
    os.close(listing)
    return [number for number in found if number != listing and _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _environment() -> list[str]:
    with open("/proc/self/environ", "rb") as file:
        return sorted(text.decode(errors="replace") for text in file.read().split(b"\0") if text)


def _umask() -> str:
    value = os.umask(0o022)
    os.umask(value)
    return f"{value:04o}"


def _pointed(option: int) -> int:
    """An option whose answer comes through a pointer."""
    answer = ctypes.c_int(-1)
    prctl(option, ctypes.addressof(answer))
    return answer.value


def _stat(field: int) -> int:
    """proc_pid_stat(5), numbered as there; the second field is a name in brackets."""
    with open("/proc/self/stat") as file:
        return int(file.read().rpartition(")")[2].split()[field - 3])


def _file(name: str) -> str:
    with open(f"/proc/self/{name}") as file:
        return file.read().strip()


STATUS = _status()
FOUND: dict[str, object] = {
    "descriptors": _descriptors(),
    "working-directory": os.getcwd(),
    "umask": _umask(),
    "environment": _environment(),
    "groups": os.getgroups(),
    "ids": [list(os.getresuid()), list(os.getresgid())],
    "nice": _stat(19),
    "scheduler": _stat(41),
    "child-subreaper": _pointed(PR_GET_CHILD_SUBREAPER),
    "parent-death-signal": _pointed(PR_GET_PDEATHSIG),
    "session-is-own": os.getsid(0) == os.getpid(),
}
FIELDS = {  # proc_pid_status(5)
    "capabilities-inheritable": "CapInh", "capabilities-permitted": "CapPrm", "capabilities-effective": "CapEff",
    "capabilities-bounding": "CapBnd", "capabilities-ambient": "CapAmb", "no-new-privileges": "NoNewPrivs",
    "seccomp": "Seccomp", "seccomp-filters": "Seccomp_filters", "signals-blocked": "SigBlk",
    "speculative-store-bypass": "Speculation_Store_Bypass", "tracer": "TracerPid",
    "processors": "Cpus_allowed_list",
}  # fmt: skip
FILES = {
    "oom-score-adj": "oom_score_adj", "timer-slack": "timerslack_ns", "personality": "personality",
    "coredump-filter": "coredump_filter", "login-uid": "loginuid", "audit-session": "sessionid",
}  # fmt: skip
SETTINGS = {
    "dumpable": PR_GET_DUMPABLE, "keep-capabilities": PR_GET_KEEPCAPS, "secure-bits": PR_GET_SECUREBITS,
    "huge-pages-disabled": PR_GET_THP_DISABLE,
}  # fmt: skip
LIMITS = {name[7:].lower(): getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


def _known(value: object) -> Probe:
    return lambda: value


def _from_file(name: str) -> Probe:
    return lambda: _file(name)


def _setting(option: int) -> Probe:
    return lambda: prctl(option)


def _limit(kind: int) -> Probe:
    return lambda: list(resource.getrlimit(kind))


for _name, _value in FOUND.items():
    probe(_name)(_known(_value))
for _name, _field in FIELDS.items():
    probe(_name)(_known(STATUS.get(_field, "missing")))
for _name, _path in FILES.items():
    probe(_name)(_from_file(_path))
for _name, _option in SETTINGS.items():
    probe(_name)(_setting(_option))
for _name, _kind in LIMITS.items():
    if _name not in ("ofile",):  # another name of nofile
        probe(f"limit-{_name}")(_limit(_kind))


@probe("signals-ignored")
def signals_ignored() -> str:
    return f"{int(STATUS['SigIgn'], 16) & ~PYTHONS:016x}"


@probe("io-priority")
def io_priority() -> int:
    return call("ioprio_get", IOPRIO_WHO_PROCESS, 0)
