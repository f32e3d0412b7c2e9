# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line in, exit status out: every failure ends here, as one sentence on standard error."""

from __future__ import annotations

import os
import sys

from .failures import Failure, UsageError
from .output import complain
from .parser import find_verb, parse

USAGE_STATUS = 125  # as docker and podman
INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell shows for a program that died of it


def main(words: list[str]) -> int:
    """The exit status for the command line `words`, which lacks the program's own name."""
    open_standard_fds()
    try:
        return run(words)
    except UsageError as error:
        complain(str(error))
        return USAGE_STATUS
    except Failure as error:
        complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def run(words: list[str]) -> int:
    request = find_verb(words)
    if request.verb is None:
        from .manual import overview  # rarely wanted, so not paid for by the rest
        from .pager import put_long

        put_long(overview(request), request.before)
        return 0
    arguments = parse(request)
    if arguments.get("help"):
        from .manual import verb_help
        from .pager import put_long

        put_long(verb_help(request), arguments)
        return 0
    from .client import Client

    with Client(
        ask_password=not arguments.get("no_ask_password"),
        failure_status=request.verb.failure_status,
    ) as client:
        return request.run(arguments, client)


def open_standard_fds() -> None:
    """A closed standard descriptor would be reused for the bus, and output would land in it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
