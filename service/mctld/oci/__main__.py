# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-oci: from the command line to one command. Only what that command needs is imported."""

from __future__ import annotations

import sys

from ..errors import MctlError
from . import arguments, call, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FLAG, TEXT = arguments.FLAG, arguments.TEXT
GLOBAL = {
    "root": TEXT, "log": TEXT, "log-format": TEXT, "log-level": TEXT, "debug": FLAG, "systemd-cgroup": FLAG,
    "cgroup-manager": TEXT, "rootless": TEXT, "version": FLAG, "help": FLAG, "v": FLAG, "h": FLAG,
}  # fmt: skip
COMMANDS = (
    "create", "start", "state", "kill", "delete", "run", "list", "spec", "features", "exec", "ps", "pause", "resume",
    "update", "events",
)  # fmt: skip
FAILED = 1
OTHERS_FOLLOW = ("exec", "ps")  # after the ID: words of the command, options of ps(1)
EXEC_FAILED = 255  # as of runc: told apart from most statuses of commands
USAGE = f"""\
usage: mctl-oci [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]

An OCI runtime, for podman, docker and containerd; see mctl-oci(8).

commands: {", ".join(COMMANDS)}
global options: --root DIR, --log FILE, --log-format text|json, --log-level debug|warning|error, --debug,
  --systemd-cgroup, --cgroup-manager systemd|cgroupfs|disabled, --version, --help
"""


def main(words: Sequence[str]) -> int:
    told, failed = report.Report(), FAILED
    try:
        given = arguments.parse(words, GLOBAL, interleaved=False)
        level = "debug" if given.flag("debug") else given.text("log-level", "error")
        told = report.Report(given.text("log"), given.text("log-format", "text"), level)
        failed = EXEC_FAILED if given.rest[:1] == ["exec"] else FAILED
        return _dispatch(given, told)
    except MctlError as error:
        told.error(str(error))
    except OSError as error:
        where = f" ({error.filename!r})" if error.filename else ""
        told.error(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        told.error("interrupted")
    return failed


def _dispatch(given: arguments.Options, told: report.Report) -> int:
    if given.flag("version") or given.flag("v"):
        return _version()
    if given.flag("help") or given.flag("h") or not given.rest:
        print(USAGE, end="")
        return 0 if given.rest or given.flag("help") or given.flag("h") else FAILED
    name, *rest = given.rest
    if name not in COMMANDS:
        told.error(f"there is no command {name!r}; there are {', '.join(COMMANDS)}")
        return FAILED
    command: Any = __import__(f"{__package__}.commands.{name}", fromlist=("run",))  # importlib imports warnings too
    options = arguments.parse(rest, command.OPTIONS, interleaved=name not in OTHERS_FOLLOW)
    status: int = command.run(call.make(given, options, told))
    return status


def _version() -> int:
    """The lines that dockerd reads: name, version, specification."""
    from .. import VERSION
    from .specification import VERSION as SPECIFICATION

    print(f"mctl-oci version {VERSION}\nspec: {SPECIFICATION}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
