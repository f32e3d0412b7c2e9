# SPDX-License-Identifier: GPL-3.0-or-later
"""runtime.md of the specification: which command is allowed in which state, and what it leaves behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from kernel.oci.conftest import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from kernel.oci.conftest import Runtime


def test_from_create_to_delete(runtime: Runtime, tmp_path: Path) -> None:
    runtime.configure("sh", "-c", "echo begun; exec sleep 100")
    assert runtime.create("--pid-file", str(tmp_path / "pid")).returncode == 0
    assert runtime.status() == "created"
    told = json.loads(runtime.call("state", "one").stdout)
    assert told["pid"] == int((tmp_path / "pid").read_text())
    assert (told["id"], told["bundle"]) == ("one", str(runtime.bundle))
    assert (tmp_path / "output").read_text() == ""
    runtime.call("start", "one")
    assert runtime.status() == "running"
    runtime.call("kill", "one", "KILL")
    _await_stopped(runtime)
    assert json.loads(runtime.call("state", "one").stdout)["pid"] == 0
    runtime.call("delete", "one")
    assert runtime.names() == []
    assert (tmp_path / "output").read_text() == "begun\n"


def _await_stopped(runtime: Runtime) -> None:
    deadline = time.monotonic() + 10
    while runtime.status() != "stopped":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("state", "none"), "does not exist"),
        (("start", "none"), "does not exist"),
        (("kill", "none"), "does not exist"),
        (("delete", "none"), "does not exist"),
        (("exec", "none", "true"), "does not exist"),
        (("ps", "none"), "does not exist"),
        (("pause", "none"), "does not exist"),
        (("update", "--pids-limit", "5", "none"), "does not exist"),
        (("state",), "one container ID is needed"),
        (("state", "a", "b"), "one container ID is needed"),
        (("create",), "one container ID is needed"),
        (("state", "../x"), "is not valid"),
        (("state", ".seccomp"), "is not valid"),
        (("state", "a/b"), "is not valid"),
        (("state", "a\nb"), "is not valid"),
        (("state", "x" * 256), "is not valid"),
        (("nonsense",), "there is no command 'nonsense'"),
        (("state", "--nonsense", "x"), "is not known here"),
        (("kill", "x", "NONSENSE"), "is not a signal"),
        (("kill", "x", "99"), "must be 1 to 64"),
        (("create", "--bundle"), "needs a value"),
        (("create", "--preserve-fds", "x", "one"), "must be a number"),
        (("--log-format", "xml", "state", "x"), "must be one of text, json"),
        (("--cgroup-manager", "x", "state", "x"), "must be one of systemd"),
        (("events", "x"), "give --stats"),
        (("exec",), "usage: mctl-oci exec"),
    ],
)
def test_commands_that_cannot_be(runtime: Runtime, words: tuple[str, ...], sentence: str) -> None:
    done = runtime.call(*words, check=False)
    assert (done.returncode, done.stdout) == (255 if words[0] == "exec" else 1, "")
    assert sentence in done.stderr


def test_an_id_is_taken_once(runtime: Runtime) -> None:
    runtime.configure("sleep", "100")
    assert runtime.create().returncode == 0
    again = runtime.create()
    assert again.returncode == 1
    assert "container with id exists" in again.stdout + again.stderr
    assert runtime.status() == "created"


def test_what_runs_is_neither_started_nor_deleted(runtime: Runtime) -> None:
    runtime.configure("sleep", "100")
    runtime.create()
    runtime.call("start", "one")
    for words in (("start", "one"), ("delete", "one")):
        done = runtime.call(*words, check=False)
        assert done.returncode == 1
        assert "it is running" in done.stderr
    assert runtime.status() == "running"


def test_what_has_stopped_is_neither_started_nor_killed(runtime: Runtime) -> None:
    runtime.configure("true")
    runtime.create()
    runtime.call("start", "one")
    _await_stopped(runtime)
    for words, sentence in ((("start", "one"), "it is stopped"), (("kill", "one"), "container not running"),
                            (("exec", "one", "true"), "container not running")):  # fmt: skip
        done = runtime.call(*words, check=False)
        assert (done.returncode, sentence in done.stderr) == (255 if words[0] == "exec" else 1, True)


def test_delete_force_takes_what_runs_and_what_is_not_there(runtime: Runtime) -> None:
    runtime.configure("sleep", "100")
    runtime.create()
    runtime.call("start", "one")
    runtime.call("delete", "--force", "one")
    runtime.call("delete", "--force", "one")
    assert runtime.names() == []


def test_a_created_container_can_be_deleted(runtime: Runtime) -> None:
    runtime.configure("sleep", "100")
    runtime.create()
    pid = json.loads(runtime.call("state", "one").stdout)["pid"]
    runtime.call("delete", "one")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0) if not _is_zombie(pid) else os.kill(2**22 + 1, 0)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return False


def test_a_changed_bundle_changes_nothing(runtime: Runtime, tmp_path: Path) -> None:
    """runtime.md#lifecycle, 2."""
    runtime.configure("echo", "first")
    runtime.create()
    runtime.configure("echo", "second")
    runtime.call("start", "one")
    _await_stopped(runtime)
    assert (tmp_path / "output").read_text() == "first\n"


def test_a_command_that_is_not_there_is_told_at_create(runtime: Runtime) -> None:
    assert "executable file not found in $PATH" in runtime.fails("nonsense")
    assert "no such file or directory" in runtime.fails("/bin/nonsense")
    assert "permission denied" in runtime.fails("/bin")


def test_a_start_without_a_word_starts_nothing(runtime: Runtime, tmp_path: Path) -> None:
    """Whoever dies between taking the socket away and the word has started nothing: it stops."""
    runtime.configure("echo", "begun")
    runtime.create()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(runtime.state / "one" / "start.sock"))
    _await_stopped(runtime)
    assert "begun" not in (tmp_path / "output").read_text()


def test_the_log_is_one_json_object(runtime: Runtime, tmp_path: Path) -> None:
    runtime.configure("nonsense")
    log = str(tmp_path / "log")
    runtime.call("--log", log, "--log-format", "json", "run", "--bundle", str(runtime.bundle), "one", check=False)
    told = json.loads((tmp_path / "log").read_text())
    assert (told["level"], "$PATH" in told["msg"]) == ("error", True)


def test_who_does_not_listen_finds_it_in_the_log(runtime: Runtime, tmp_path: Path) -> None:
    """containerd's shim closes the other end of standard error before it makes a pod's first container."""
    runtime.configure("nonsense")
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(PROGRAM), "--root", str(runtime.state), "--cgroup-manager", "disabled", "--log",
               str(tmp_path / "log"), "create", "--bundle", str(runtime.bundle), "one"]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=writing, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == 1
    assert "$PATH" in (tmp_path / "log").read_text()


def test_without_a_process_a_container_is_created_and_not_started(runtime: Runtime) -> None:
    """config.md: the property is required when start is called, not before."""
    document = runtime.configure("true")
    del document["process"]
    (runtime.bundle / "config.json").write_text(json.dumps(document))
    assert runtime.create().returncode == 0
    assert runtime.status() == "created"
    for words in (("start", "one"), ("run", "--bundle", str(runtime.bundle), "two")):
        done = runtime.call(*words, check=False)
        assert (done.returncode, "has no process" in done.stderr) == (1, True)
    assert runtime.names() == ["one"]
    runtime.call("kill", "one", "KILL")
    _await_stopped(runtime)
    runtime.call("delete", "one")


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_run_ends_as_the_command_does(runtime: Runtime, command: str, status: int) -> None:
    """The first process of a PID namespace cannot kill itself: its child does, and it tells."""
    script = f"sh -c '{command}'; exit $?"
    runtime.configure("sh", "-c", script)
    assert runtime.call("run", "--bundle", str(runtime.bundle), "one", check=False).returncode == status
    assert runtime.names() == []


def test_features_and_spec(runtime: Runtime, tmp_path: Path) -> None:
    told = json.loads(runtime.call("features").stdout)
    assert told["linux"]["cgroup"]["v1"] is False
    assert len(told["hooks"]) == 6
    runtime.call("spec", "--bundle", str(tmp_path))
    assert json.loads((tmp_path / "config.json").read_text())["process"]["noNewPrivileges"] is True
    assert "File exists" in runtime.call("spec", "--bundle", str(tmp_path), check=False).stderr


def test_the_process_is_its_callers_to_wait_for(runtime: Runtime) -> None:
    """conmon and the shims are subreapers: the container's first process must come to them."""
    code = (
        "import ctypes, os, subprocess, sys, json\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"  # PR_SET_CHILD_SUBREAPER
        "oci = sys.argv[1:6]\n"
        "bundle = sys.argv[6]\n"
        "subprocess.run([*oci, 'create', '--bundle', bundle, '--pid-file', bundle + '/pid', 'one'], check=True)\n"
        "pid = int(open(bundle + '/pid').read())\n"
        "subprocess.run([*oci, 'start', 'one'], check=True)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    runtime.configure("sh", "-c", "exit 42")
    command = [sys.executable, "-c", code, str(PROGRAM), "--root", str(runtime.state), "--cgroup-manager", "disabled",
               str(runtime.bundle)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["42"], done.stderr
