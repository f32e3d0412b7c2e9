# SPDX-License-Identifier: GPL-3.0-or-later
"""Options about what becomes of a container: when it is started again, how its health is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError
from .parser import Option
from .sizes import duration, whole

if TYPE_CHECKING:
    from .parser import Arguments

POLICIES = ("no", "on-failure", "always", "unless-stopped")
SD_NOTIFY = ("ignore", "container", "healthy")
ACTIONS = ("none", "kill", "restart", "stop")
RETRIES_MAX = 1_000_000


def policy(flag: str, text: str) -> str:
    name, colon, number = text.partition(":")
    if name not in POLICIES or (colon and name != "on-failure"):
        raise UsageError(f"{flag} {text!r} is not known: give {', '.join(POLICIES)}, or on-failure:N")
    if colon:
        whole(flag, number, 0, RETRIES_MAX)
    return text


def check(flag: str, text: str) -> list[str]:
    """NONE; a JSON array is the words; anything else is for a shell."""
    if text == "NONE":
        return []
    if not text.strip():
        raise UsageError(f"{flag} {text!r} names no command: give one, or NONE")
    from .changes import command

    return command(text)


def retries(flag: str, text: str) -> int:
    return whole(flag, text, 1, 10_000)


def action(flag: str, text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"{flag} {text!r} is not known: give {', '.join(ACTIONS)}")
    return text


def readiness(flag: str, text: str) -> str:
    if text == "conmon":  # podman's word for what is our default
        return "ignore"
    if text not in SD_NOTIFY:
        raise UsageError(f"{flag} {text!r} is not known: give {', '.join(SD_NOTIFY)}")
    return text


RESTART = Option(
    ("--restart",), "start it again: no, on-failure[:N], always, unless-stopped", value="POLICY", convert=policy
)
OPTIONS = (
    RESTART,
    Option(("--health-cmd",), "the command that checks its health, or NONE", value="COMMAND", convert=check),
    Option(("--health-interval",), "how long between checks, 30s if not given", value="TIME", convert=duration),
    Option(("--health-timeout",), "how long a check may take, 30s if not given", value="TIME", convert=duration),
    Option(("--health-retries",), "how many have to fail in a row, 3 if not given", value="N", convert=retries),
    Option(("--health-start-period",), "how long failures do not count at first", value="TIME", convert=duration),
    Option(("--health-on-failure",), "what then: none, kill, restart or stop", value="ACTION", convert=action),
    Option(("--sdnotify",), "what makes it ready: ignore, container or healthy", value="WHAT", convert=readiness),
    Option(("--no-healthcheck",), "no checks, whatever the image says"),
)
# key of the command line -> key on the bus and its type
DIRECT = {
    "restart": ("RestartPolicy", "s"),
    "health_cmd": ("HealthCommand", "as"),
    "health_interval": ("HealthIntervalUSec", "t"),
    "health_timeout": ("HealthTimeoutUSec", "t"),
    "health_retries": ("HealthRetries", "u"),
    "health_start_period": ("HealthStartPeriodUSec", "t"),
    "health_on_failure": ("HealthOnFailure", "s"),
    "sdnotify": ("SdNotify", "s"),
}


def supervision_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """Their part of the a{sv} of CreateContainer."""
    given = arguments.options
    if given.get("no_healthcheck"):
        if given.get("health_cmd"):
            raise UsageError("--no-healthcheck and --health-cmd exclude each other: give one of them")
        given["health_cmd"] = []
    if given.get("rm") and given.get("restart", "no") != "no":
        raise UsageError(f"--rm and --restart {given['restart']} exclude each other: what is removed cannot come back")
    return {bus: (kind, given[key]) for key, (bus, kind) in DIRECT.items() if key in given}
