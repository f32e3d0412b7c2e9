# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that the caller wants run at turns of a container's life: config.md#posix-platform-hooks.

Runs in the container's process too, before it executes the payload: it imports nothing when it is called.
"""

from __future__ import annotations

import os
import select
import signal

from ..errors import SetupFailed
from ..runtime import plainjson
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .reading import Value

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
TOLD_MAX = 2000  # bytes of what a hook has printed that go into the error
TIMEOUT_MAX = 2**31 // 1000


@value(frozen=True)
class Hook:
    path: str
    args: tuple[str, ...]
    environment: tuple[str, ...]
    timeout: int | None  # seconds

    def plain(self) -> dict[str, Any]:
        return {"path": self.path, "args": self.args, "environment": self.environment, "timeout": self.timeout}


def read(given: Value) -> dict[str, tuple[Hook, ...]]:
    return {kind: tuple(_hook(item) for item in given[kind].items()) for kind in KINDS}


def _hook(item: Value) -> Hook:
    path = item["path"].absolute()
    args = item["args"].texts() or (path,)
    return Hook(path, args, item["env"].texts(), item["timeout"].optional_number(1, TIMEOUT_MAX))


def run_all(kind: str, hooks: Iterable[Hook], state: dict[str, Any]) -> None:
    """SetupFailed at the first that fails. Each gets the state on its standard input."""
    text = plainjson.dumps(state).encode()
    for hook in hooks:
        run(kind, hook, text)


def run(kind: str, hook: Hook, state: bytes) -> None:
    given, printed = os.memfd_create("state", os.MFD_CLOEXEC), os.memfd_create("printed", os.MFD_CLOEXEC)
    try:
        os.write(given, state)
        os.lseek(given, 0, os.SEEK_SET)
        status = _wait(_spawn(hook, given, printed), hook.timeout)
        if status != 0:
            told = os.pread(printed, TOLD_MAX, max(0, os.fstat(printed).st_size - TOLD_MAX))
            raise SetupFailed(f"run the {kind} hook {hook.path}", _why(status, hook, told))
    finally:
        os.close(given)
        os.close(printed)


def _spawn(hook: Hook, given: int, printed: int) -> int:
    from ..kernel import process  # few have hooks: start and delete need it for nothing else

    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and execve(2) would keep that
            signal.signal(ignored, signal.SIG_DFL)
        os.dup2(given, 0, inheritable=True)
        for number in (1, 2):
            os.dup2(printed, number, inheritable=True)
        process.close_on_exec(3)
        variables = (variable.partition("=") for variable in hook.environment)
        os.execve(hook.path, list(hook.args), {name: text for name, _, text in variables if name})
    except OSError as error:
        os.write(2, f"{error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(pid: int, timeout: int | None) -> int | None:
    """The status of waitpid(2), or None for one that took too long and is killed."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = poll.poll(None if timeout is None else timeout * 1000)
        if not in_time:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return status if in_time else None
    finally:
        os.close(pidfd)


def _why(status: int | None, hook: Hook, told: bytes) -> str:
    said = told.decode("utf-8", "replace").strip()
    end = f"; it printed: {said}" if said else ""
    if status is None:
        return f"it took more than {hook.timeout} s{end}"
    if os.WIFSIGNALED(status):
        return f"it was ended by signal {os.WTERMSIG(status)}{end}"
    return f"it ended with status {os.WEXITSTATUS(status)}{end}"
