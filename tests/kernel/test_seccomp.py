# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters in the real kernel: loaded in a child by the stage's own operation, then tried."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import faulthandler
import json
import mmap
import os
import platform
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from mctld import capability
from mctld.kernel import process
from mctld.runtime import capabilities, planner
from mctld.runtime.seccomp import loading
from mctld.runtime.seccomp.filters import Filters
from mctld.runtime.stage import Descriptors
from mctld.security import Security
from mctld.spec import Rootfs, Spec, User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEFAULT = frozenset(capability.DEFAULT)
NEWUSER = 0x10000000
PR_SET_NAME, PR_GET_NAME = 15, 16  # linux/prctl.h
ON_INTEL = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64")


def call(number: int, *arguments: int) -> str:
    """The name of the error, or "done"."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(a % 2**64) for a in arguments))
    return "done" if result != -1 else errno.errorcode[ctypes.get_errno()]


def in_child(act: Callable[[], Any]) -> Any:
    """What `act` returns in a fork of ours."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer: Any = "ended without an answer"
        try:
            answer = act()
        except BaseException as error:
            answer = repr(error)
        finally:
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(answer) if answer else f"status {status:#x}"


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., int]:
    filters = Filters(str(tmp_path / "seccomp"))

    def opened(profile: str = "default", extra: frozenset[str] = frozenset()) -> int:
        descriptor = asyncio.run(filters.open(profile, DEFAULT | extra))
        assert descriptor is not None
        return descriptor

    return opened


def confined(descriptor: int, act: Callable[[], Any]) -> Any:
    def child() -> Any:
        process.forbid_new_privileges()
        loading.load_filter(Descriptors(["seccomp"], [descriptor]))
        return act()

    return in_child(child)


def test_the_filter_is_in_force(program: Callable[..., int]) -> None:
    def act() -> list[str]:
        with open("/proc/self/status") as file:
            return [line.split()[1] for line in file if line.startswith(("Seccomp:", "Seccomp_filters:"))]

    before = in_child(act)
    after = confined(program(), act)
    assert after[0] == "2"  # SECCOMP_MODE_FILTER
    assert int(after[1]) == int(before[1]) + 1


@ON_INTEL
@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ((435, 0, 0), "ENOSYS"),  # clone3
        ((9999,), "ENOSYS"),
        ((272, NEWUSER), "EPERM"),  # unshare
        ((56, NEWUSER | 17), "EPERM"),  # clone
        ((308, 0, 0), "EPERM"),  # setns
        ((165, 0, 0, 0, 0, 0), "EPERM"),  # mount
        ((425, 1, 0), "EPERM"),  # io_uring_setup
        ((321, 0, 0, 0), "EPERM"),  # bpf
        ((250, 0, 0), "EPERM"),  # keyctl
        ((323, 0), "EPERM"),  # userfaultfd
        ((41, 38, 5, 0), "EPERM"),  # socket, AF_ALG
        ((41, 2**32 + 38, 5, 0), "EPERM"),
        ((41, 40, 1, 0), "EPERM"),  # AF_VSOCK
        ((41, 16, 3, 9), "EINVAL"),  # NETLINK_AUDIT
        ((41, 1, 1, 0), "done"),
        ((16, 0, 0x5412, 0), "EPERM"),  # ioctl, TIOCSTI
        ((16, 0, 2**32 + 0x5412, 0), "EPERM"),
        ((16, -1, 0x5401, 0), "EBADF"),  # an ioctl that goes on to the kernel
        ((135, 0x0040000), "EPERM"),  # personality, ADDR_NO_RANDOMIZE
        ((135, 0xFFFFFFFF), "done"),
        ((39,), "done"),
    ],
)
def test_what_the_kernel_answers(program: Callable[..., int], attempt: tuple[int, ...], expected: str) -> None:
    assert confined(program(), lambda: call(*attempt)) == expected


@ON_INTEL
def test_without_a_filter_the_answers_are_others() -> None:
    """So that the test before this one says something."""
    assert in_child(lambda: call(435, 0, 0)) == "EINVAL"
    assert in_child(lambda: call(272, 0)) == "done"
    assert in_child(lambda: call(135, 0x0040000)) == "done"
    assert in_child(lambda: call(41, 2**32 + 2, 1, 0)) == "done"  # the kernel ignores the upper half


@pytest.fixture
def old_call() -> Iterator[Callable[..., int]]:
    """int 0x80 from a 64-bit process: the table of i386."""
    code = bytes.fromhex("53 89f8 89f3 89d1 cd80 5b c3")  # push rbx; eax=edi; ebx=esi; ecx=edx; int 0x80; pop; ret
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    yield ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)
    assert memory  # until here


@ON_INTEL
def test_the_32_bit_door(program: Callable[..., int], old_call: Callable[..., int]) -> None:
    act = old_call

    def works() -> bool:
        faulthandler.disable()  # of a kernel without it one dies
        return act(20, 0, 0) == os.getpid()

    if in_child(works) is not True:
        pytest.skip("this kernel runs no 32-bit programs")
    assert in_child(lambda: act(310, 0, 0)) == 0  # unshare
    assert confined(program(), lambda: act(20, 0, 0) == os.getpid()) is True
    assert confined(program(), lambda: act(310, NEWUSER, 0)) == -errno.EPERM
    assert confined(program(), lambda: act(102, 1, 0)) == -errno.EPERM  # socketcall, SYS_SOCKET
    assert confined(program(), lambda: act(359, 38, 5)) == -errno.EPERM  # socket, AF_ALG
    assert confined(program(), lambda: act(435, 0, 0)) == -errno.ENOSYS


def test_programs_go_on_to_work(program: Callable[..., int]) -> None:
    def act() -> list[object]:
        libc, name = ctypes.CDLL(None), ctypes.create_string_buffer(16)
        libc.prctl(PR_SET_NAME, b"renamed")
        libc.prctl(PR_GET_NAME, name)
        found: list[object] = [name.value.decode()]
        thread = threading.Thread(target=lambda: found.append("from a thread"))
        thread.start()
        thread.join()
        left, right = socket.socketpair()
        left.send(b"x")
        found.append(right.recv(1).decode())
        with contextlib.closing(socket.socket(socket.AF_INET)) as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
        found.append(os.waitstatus_to_exitcode(os.system("exit 7")))
        found.append(os.popen("echo from a shell").read().strip())
        return found

    assert confined(program(), act) == ["renamed", "from a thread", "x", 7, "from a shell"]


PROGRAM = """
import asyncio, os, socket, subprocess, sys, tempfile, threading
found = []
thread = threading.Thread(target=lambda: found.append("thread"))
thread.start(); thread.join()
with tempfile.TemporaryDirectory() as place:
    with open(place + "/file", "w") as file:
        file.write("x" * 10000); file.flush(); os.fsync(file.fileno())
    os.rename(place + "/file", place + "/other"); os.stat(place + "/other"); os.chmod(place + "/other", 0o600)
    found.append(str(len(os.listdir(place))))
shell = subprocess.run(["/bin/sh", "-c", "echo from | cat; exit 3"], capture_output=True, text=True)
found.append(shell.stdout.strip())
async def serve():
    async def answer(reader, writer):
        writer.write(await reader.readline()); await writer.drain(); writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"over epoll\\n")
    found.append((await reader.readline()).decode().strip())
    writer.close()
    await asyncio.sleep(0.01)
asyncio.run(serve())
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
except OSError as error:
    found.append(error.strerror)
print(*found, sep=", ")
"""


@pytest.mark.parametrize("profile", ["default", "strict"])
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/bin/sh", "-c", "for n in 1 2 3; do (echo $n &) ; done | sort | tr -d '\\n'; trap 'echo t' 0"], "123t"),
        (["/bin/sh", "-c", "cd /tmp && ls -la / >/dev/null && sleep 0.01 && id -u >/dev/null && echo $?"], "0"),
        (["/usr/bin/python3", "-ISc", PROGRAM], "thread, 1, from, over epoll"),
    ],
)  # fmt: skip
def test_programs_work(program: Callable[..., int], profile: str, command: list[str], expected: str) -> None:
    def act() -> list[str | int]:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.execv(command[0], command)
        os.close(writer)
        with os.fdopen(reader) as file:
            text = file.read().strip()
        return [text, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    text, status = confined(program(profile), act)
    if "thread" in expected:
        expected += ", Address family not supported by protocol" if profile == "strict" else ""
    assert (text, status) == (expected, 0)


def test_strict_is_stricter(program: Callable[..., int]) -> None:
    def act() -> list[object]:
        found: list[object] = []
        for attempt in (
            lambda: os.memfd_create("x"), lambda: os.getxattr("/", "user.x"), lambda: socket.socket(16, 3, 0),
            lambda: os.mkfifo("/tmp/never"), lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        ):  # fmt: skip
            try:
                attempt()
            except OSError as error:
                found.append(errno.errorcode[error.errno or 0])
            else:
                found.append("done")
        return found

    assert confined(program("strict"), act) == ["EPERM", "ENOTSUP", "EAFNOSUPPORT", "EPERM", "EPERM"]


def test_a_filter_is_for_ever(program: Callable[..., int]) -> None:
    """A second one may only take away."""
    descriptor, wide = program(), program("default", frozenset(capability.NUMBERS))

    def act() -> str:
        loading.load_filter(Descriptors(["seccomp"], [wide]))
        return call(272, NEWUSER) if platform.machine() == "x86_64" else "EPERM"

    assert confined(descriptor, act) == "EPERM"


def test_no_new_privs_or_the_capability_is_needed(program: Callable[..., int]) -> None:
    descriptor = program()

    def act() -> str | int | None:
        process.set_capabilities(0, 0, 0)
        try:
            loading.load_filter(Descriptors(["seccomp"], [descriptor]))
        except OSError as error:
            return error.errno
        return "loaded"

    assert in_child(act) == errno.EACCES


def test_nonsense_is_not_loaded() -> None:
    memory = os.memfd_create("seccomp")
    os.write(memory, b"\xff" * 16)
    assert "EINVAL" in confined(memory, lambda: "loaded") or "Invalid argument" in confined(memory, lambda: "loaded")
    os.close(memory)


def test_a_shared_descriptor_is_read_from_its_beginning(program: Callable[..., int]) -> None:
    descriptor = program()
    os.lseek(descriptor, 0, os.SEEK_END)
    assert confined(descriptor, lambda: "loaded") == "loaded"
    with pytest.raises(PermissionError):
        os.write(descriptor, b"x")  # sealed: what other starts read cannot change


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a user namespace with root's capabilities: needs root")
@pytest.mark.parametrize(("uid", "kept"), [(0, capabilities.mask(list(capability.DEFAULT))), (1000, 0)])
@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_last_steps_in_both_orders(
    program: Callable[..., int], uid: int, kept: int, *, no_new_privileges: bool
) -> None:
    """Without no_new_privs the filter is loaded with CAP_SYS_ADMIN, which is gone when the payload runs."""
    spec = Spec(name="web", rootfs=Rootfs("/", 1, 2), command=("/bin/cat", "/proc/self/status"),
                user=User(str(uid), str(uid)), security=Security(no_new_privileges=no_new_privileges))  # fmt: skip
    steps = [s for s in planner.privileges(spec, capabilities.last()) if s.operation != "working-directory"]
    shown = _run(program(), steps, ["/bin/cat", "/proc/self/status"])
    assert shown["Seccomp"] == "2"
    assert shown["NoNewPrivs"] == str(int(no_new_privileges))
    assert [int(shown[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")] == [0, kept, kept, 0]
    assert int(shown["CapBnd"], 16) == capabilities.mask(list(capability.DEFAULT))
    assert shown["Uid"] == str(uid)


def _run(descriptor: int, steps: list[Any], command: list[str]) -> dict[str, str]:
    """In a child of this process; the status that the payload prints."""
    from mctld.runtime import stage

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            descriptors = Descriptors(["seccomp"], [descriptor])
            for step in steps:
                stage.OPERATIONS[step.operation](descriptors, **step.arguments)
            stage.OPERATIONS["execute"](descriptors, command=command, environment={})
        finally:
            os._exit(125)
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = dict(line.split(":", 1) for line in file)
    assert os.waitpid(pid, 0)[1] == 0
    return {name: text.split()[0] if text.split() else "" for name, text in lines.items()}
