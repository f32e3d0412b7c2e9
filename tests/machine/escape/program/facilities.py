# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to work: a wall that is in honest programs' way is soon taken down."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import tempfile
import threading

from .calls import prctl
from .registry import probe

PR_SET_NAME, PR_GET_NAME = 15, 16


@probe("works-name-of-a-thread")
def name_of_a_thread() -> str:
    found = []

    def work() -> None:
        name, answer = ctypes.create_string_buffer(b"worker"), ctypes.create_string_buffer(16)
        prctl(PR_SET_NAME, ctypes.addressof(name))
        prctl(PR_GET_NAME, ctypes.addressof(answer))
        found.append(answer.value.decode())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


@probe("works-threads")
def threads() -> int:
    """glibc asks clone3(2) first and falls back when that says ENOSYS."""
    done: list[int] = []
    workers = [threading.Thread(target=done.append, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(done)


@probe("works-subprocess")
def subprocesses() -> str:
    return subprocess.run(["/bin/busybox", "echo", "heard"], capture_output=True, check=True).stdout.decode().strip()


@probe("works-files")
def files() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = f"{directory}/file"
        with open(path, "w") as file:
            file.write("x")
        os.chmod(path, 0o640)
        os.link(path, f"{path}2")
        os.symlink(path, f"{path}3")
        os.truncate(path, 0)
        os.utime(path)
        os.rename(f"{path}2", path)
        os.posix_fallocate(os.open(path, os.O_RDWR), 0, 1)


@probe("works-owners")
def owners() -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        os.chown(file.fileno(), 1000, 1000)
        os.setxattr(file.fileno(), "user.probe", b"x")


@probe("works-becoming-another-user")
def becoming_another_user() -> list[int]:
    os.setgroups([5, 6])
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)
    return [os.getuid(), os.getgid(), *os.getgroups()]


@probe("works-low-port")
def low_port() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 80))
        listener.listen()
        with socket.create_connection(("127.0.0.1", 80), timeout=2):
            listener.accept()[0].close()


@probe("works-sockets")
def sockets() -> None:
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        socket.socket(family, socket.SOCK_DGRAM if family != socket.AF_NETLINK else socket.SOCK_RAW).close()


@probe("works-events")
def events() -> None:
    with select.epoll() as poll:
        number = os.eventfd(1)
        poll.register(number, select.EPOLLIN)
        assert poll.poll(1)
    os.close(os.memfd_create("probe"))
    os.getrandom(8)
    os.close(os.pidfd_open(os.getpid()))


@probe("works-chroot")
def chroot() -> None:
    os.chroot("/tmp")


@probe("works-random-and-zero-devices")
def device_files() -> int:
    with open("/dev/zero", "rb") as zero, open("/dev/urandom", "rb") as random, open("/dev/null", "wb") as null:
        return null.write(zero.read(4) + random.read(4))
