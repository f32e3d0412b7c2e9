# SPDX-License-Identifier: GPL-3.0-or-later
"""The last steps before the payload: what it inherits, and its execution."""

from __future__ import annotations

import errno
import os
import resource
import signal

from ..kernel import constants as c
from ..kernel import files, process
from . import accounts

UNLIMITED = 2**64 - 1
FIRST_SOCKET = 3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Descriptors


def wait_at_gate(descriptors: Descriptors) -> None:
    """What comes next needs the cgroup. If nobody is there to open, nobody needs us."""
    if not os.read(descriptors["channel"], 1):
        raise ConnectionAbortedError(errno.ECONNABORTED, "the start was given up")


def set_stdio(descriptors: Descriptors) -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(descriptors[name], number, inheritable=True)


def reset_inherited(_: Descriptors) -> None:
    """Nothing of the spawner may show: Python ignores SIGPIPE and SIGXFSZ, systemd protects us from the OOM killer."""
    os.setsid()
    os.umask(0o022)
    for number in range(1, signal.NSIG):  # handlers end with execve(2) by themselves, ignoring does not
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    process.close_on_exec(3)


def place_sockets(descriptors: Descriptors, names: list[str]) -> None:
    """From the first number after standard error on, in this order, sd_listen_fds(3)."""
    descriptors.make_room(FIRST_SOCKET, len(names))
    for number, name in enumerate(names, FIRST_SOCKET):
        os.dup2(descriptors[name], number, inheritable=True)


def enter_directory(_: Descriptors, path: str) -> None:
    """No magic link may lead to a directory that we still hold open (CVE-2024-21626)."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    directory = files.openat2(root, path, os.O_PATH | os.O_DIRECTORY, c.RESOLVE_IN_ROOT | c.RESOLVE_NO_MAGICLINKS)
    os.fchdir(directory)
    os.close(directory)
    os.close(root)
    if not os.getcwd().startswith("/"):
        raise OSError(errno.ENOENT, "not below the container's root", path)


def find_program(descriptors: Descriptors, name: str, path: str) -> None:
    """Look it up as execvp(3) does, and say which way it failed: ENOENT or EACCES.

    A step of its own: what it calls, a filter need not allow.
    """
    descriptors.program = find(name, path)
    descriptors.home = accounts.home(os.getuid())


def set_limits(_: Descriptors, limits: list[tuple[str, int, int]]) -> None:
    """setrlimit(2), so late that nothing of ours has to live with them. They can only be lowered here."""
    for name, soft, hard in limits:
        values = [resource.RLIM_INFINITY if value >= UNLIMITED else value for value in (soft, hard)]
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (values[0], values[1]))
        except ValueError as error:
            raise OSError(errno.EPERM, str(error), name) from error


def execute(descriptors: Descriptors, command: list[str], environment: dict[str, str], init: str = "") -> None:
    """HOME is the user's in the container's passwd(5) if it was not declared.

    With `init` the descriptor of that name, a program that reaps, becomes the first process and runs the command.
    """
    complete = {"HOME": descriptors.home, **environment}
    if init:
        os.execve(descriptors[init], [init, "--", descriptors.program, *command[1:]], complete)
    os.execve(descriptors.program, command, complete)


def find(name: str, path: str) -> str:
    candidates = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in path.split(":")]
    found: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for candidate in candidates:
        try:
            _check_executable(candidate)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            continue
        except OSError as error:
            found = error
            continue
        return candidate
    raise found


def _check_executable(path: str) -> None:
    """/proc/self/exe would be the host's own Python (CVE-2019-5736): magic links are refused."""
    descriptor = files.openat2(c.AT_FDCWD, path, os.O_PATH, c.RESOLVE_NO_MAGICLINKS)
    os.close(descriptor)
    if os.path.isdir(path) or not os.access(path, os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "not an executable file", path)
