# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of run and create about what a container's processes may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option
from .sizes import INFINITY, UNLIMITED, is_decimal, whole

if TYPE_CHECKING:
    from .parser import Arguments

EVERYTHING = "ALL"
PROFILES = ("default", "strict", "unconfined")
PROFILE_MAX = 256 << 10  # bytes
RLIMIT_MAX = 2**63 - 1
SECURITY_HOW = "give strict, seccomp=strict|unconfined|FILE, no-new-privileges=true|false, or unmask=ALL|PATH[:PATH]"


def capability(flag: str, text: str) -> str:
    name = text.upper().removeprefix("CAP_")
    if not name.replace("_", "A").isalpha():
        raise UsageError(f"{flag} {text!r} is not the name of a capability: give one as NET_RAW, or ALL")
    return name


def security(flag: str, text: str) -> tuple[str, str]:
    key, separator, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    if key == "strict" and not separator:
        return key, ""
    if key == "seccomp" and value:
        return key, value if value in PROFILES else profile(flag, value)
    if key == "no-new-privileges" and value in ("", "true", "false"):
        return key, value or "true"
    if key == "unmask" and value:
        return key, value
    raise UsageError(f"{flag} {text!r} is not offered: {SECURITY_HOW}")


def profile(flag: str, path: str) -> str:
    """The text of an OCI seccomp profile."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(PROFILE_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{flag} seccomp={path}: {reason}") from None
    if len(text.encode()) > PROFILE_MAX:
        raise UsageError(f"{flag} seccomp={path} is larger than {PROFILE_MAX} bytes")
    return text


def user_namespace(flag: str, text: str) -> str:
    if text in ("auto", "host") or (text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")):
        return text
    raise UsageError(f"{flag} {text!r} is not known: give auto, host, or the first of 65536 ids as a number")


def limit(flag: str, text: str) -> tuple[str, list[int]]:
    """NAME=SOFT[:HARD] as docker's --ulimit; -1 or unlimited is no limit."""
    name, equals, values = text.partition("=")
    numbers = values.split(":")
    if not (name and equals and 1 <= len(numbers) <= 2):
        raise UsageError(f"{flag} {text!r} is not NAME=SOFT[:HARD], as in nofile=1024:4096")
    found = [number(flag, text, part) for part in numbers]
    if found[0] > found[-1]:
        raise UsageError(f"{flag} {text} has a soft limit above the hard one")
    return name.upper(), [found[0], found[-1]]


def number(flag: str, text: str, part: str) -> int:
    if part.lower() in UNLIMITED:
        return INFINITY
    if not is_decimal(part) or "." in part:
        raise UsageError(f"{flag} {text!r}: {part!r} is not a number, nor unlimited")
    if len(part) > 19 or int(part) > RLIMIT_MAX:
        raise UsageError(f"{flag} {text!r}: {part} is too large: the most is {RLIMIT_MAX}, or unlimited")
    return int(part)


def pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"{flag} {text!r} is not NAME=VALUE")
    return key, value


def score(flag: str, text: str) -> int:
    return whole(flag, text, -1000, 1000)


ULIMIT = Option(("--ulimit",), "a resource limit, as nofile=1024:4096", value="N=S[:H]", convert=limit, repeat=True)
OPTIONS = (
    Option(("--cap-add",), "give a capability, ALL for all", value="CAP", convert=capability, repeat=True),
    Option(("--cap-drop",), "take a capability, ALL for all", value="CAP", convert=capability, repeat=True),
    Option(("--security-opt",), "strict, seccomp=FILE and others", value="OPT", convert=security, repeat=True),
    Option(("--privileged",), "all capabilities, no filter, nothing hidden"),
    Option(("--userns",), "auto, host, or the first id", value="MODE", convert=user_namespace),
    ULIMIT,
    Option(("--sysctl",), "a kernel parameter of its namespaces", value="K=V", convert=pair, repeat=True),
    Option(("--oom-score-adj",), "-1000 to 1000", value="N", convert=score),
    Option(("--init",), "a reaper (tini) as its first process"),
)


def wall_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Keys of CreateContainer."""
    given = arguments.get("security_opt", [])
    added, dropped = list(arguments.get("cap_add", [])), list(arguments.get("cap_drop", []))
    unmask = [path for key, value in given if key == "unmask" for path in value.split(":")]
    found: dict[str, tuple[str, Any]] = {}
    for key, value in given:
        if key == "strict":
            found["Seccomp"] = ("s", "strict")
            dropped = [EVERYTHING]
        elif key == "seccomp":
            found["Seccomp"] = ("s", value)
        elif key == "no-new-privileges":
            found["NoNewPrivileges"] = ("b", value == "true")
    if arguments.get("privileged"):
        found = {"Seccomp": ("s", "unconfined"), "NoNewPrivileges": ("b", False), **found}
        added, unmask = [EVERYTHING], [EVERYTHING]
    lists = {"AddCapabilities": added, "DropCapabilities": dropped, "Unmask": unmask}
    found |= {key: ("as", value) for key, value in lists.items() if value}
    found |= resource_limits(arguments)
    if "sysctl" in arguments.options:
        found["Sysctls"] = ("a{ss}", dict(arguments.options["sysctl"]))
    plain = {"userns": ("UserNamespace", "s"), "oom_score_adj": ("OOMScoreAdjust", "i"), "init": ("Init", "b")}
    found |= {bus: (kind, arguments.options[key]) for key, (bus, kind) in plain.items() if key in arguments.options}
    return found


def resource_limits(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """For CreateContainer and Update."""
    given = arguments.get("ulimit", [])
    return {"Rlimits": ("a{s(tt)}", {name: tuple(pair) for name, pair in given})} if given else {}
