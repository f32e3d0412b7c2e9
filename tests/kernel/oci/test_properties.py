# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container sees of each property of its config.json."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from kernel.oci.conftest import DEV, PROC, PROGRAM, PTS

if TYPE_CHECKING:
    from pathlib import Path

    from kernel.oci.conftest import Runtime

SPACES = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network")]
IDS = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]
STATUS = "cat /proc/self/status"
MASKS = {"linux_maskedPaths": ["/proc/kcore", "/proc/acpi", "/proc/no/such"], "linux_readonlyPaths": ["/proc/sys"]}


def sets(**given: list[str]) -> dict[str, Any]:
    return {"process_capabilities": {kind: [f"CAP_{name}" for name in names] for kind, names in given.items()}}


ALL_OF_CHOWN = sets(bounding=["CHOWN"], effective=["CHOWN"], permitted=["CHOWN"])
SEEN: list[tuple[str, dict[str, Any], str]] = [
    ("id -u; id -g", {"process_user": {"uid": 5, "gid": 6}}, "5\n6\n"),
    ("grep Groups /proc/self/status", {"process_user": {"uid": 5, "gid": 6, "additionalGids": [7, 8]}},
     "Groups:\t7 8 \n"),
    ("umask", {"process_user": {"uid": 0, "gid": 0, "umask": 0o27}}, "0027\n"),
    ("pwd", {"process_cwd": "/made/here"}, "/made/here\n"),
    ("echo $A-$B", {"process_env": ["PATH=/bin", "A=1", "B=2", "A=3"]}, "3-2\n"),
    ("echo $HOME", {}, "/\n"),
    ("echo $HOME", {"process_env": ["PATH=/bin", "HOME=/x"]}, "/x\n"),
    ("hostname", {"hostname": "inside"}, "inside\n"),
    ("cat /proc/sys/kernel/domainname", {"domainname": "example"}, "example\n"),
    ("cat /proc/sys/net/core/somaxconn", {"linux_sysctl": {"net.core.somaxconn": "77"}}, "77\n"),
    ("cat /proc/sys/kernel/shmmni", {"linux_sysctl": {"kernel.shmmni": "55"}}, "55\n"),
    ("echo $$", {}, "1\n"),
    ("grep CapBnd /proc/self/status", {}, "CapBnd:\t0000000000000000\n"),
    ("grep CapEff /proc/self/status", ALL_OF_CHOWN, "CapEff:\t0000000000000001\n"),
    ("grep CapPrm /proc/self/status", ALL_OF_CHOWN, "CapPrm:\t0000000000000001\n"),
    ("grep CapInh /proc/self/status", ALL_OF_CHOWN, "CapInh:\t0000000000000000\n"),
    ("grep CapAmb /proc/self/status",
     {**sets(bounding=["CHOWN"], permitted=["CHOWN"], inheritable=["CHOWN"], ambient=["CHOWN"]),
      "process_user": {"uid": 5, "gid": 5}}, "CapAmb:\t0000000000000001\n"),
    ("grep CapEff /proc/self/status", {**ALL_OF_CHOWN, "process_user": {"uid": 5, "gid": 5}},
     "CapEff:\t0000000000000000\n"),
    ("grep NoNewPrivs /proc/self/status", {"process_noNewPrivileges": True}, "NoNewPrivs:\t1\n"),
    ("grep NoNewPrivs /proc/self/status", {}, "NoNewPrivs:\t0\n"),
    ("ulimit -n", {"process_rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]}, "50\n"),
    ("ulimit -Hn", {"process_rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]}, "60\n"),
    ("cat /proc/self/oom_score_adj", {"process_oomScoreAdj": 500}, "500\n"),
    ("touch /x 2>&1 | grep -c Read-only", {"root_readonly": True}, "1\n"),
    ("touch /x && echo made", {}, "made\n"),
    ("cat /proc/kcore | head -c 1", MASKS, ""),
    ("ls /proc/acpi", MASKS, ""),
    ("(echo 1 >/proc/sys/kernel/shmmni) 2>&1 | grep -c Read-only", MASKS, "1\n"),
    ("readlink /dev/fd; readlink /dev/ptmx", {}, "/proc/self/fd\npts/ptmx\n"),
    ("echo x >/dev/null && head -c 2 /dev/zero | tr '\\0' z", {}, "zz"),
    ("stat -c '%t %T %a %u' /dev/fuse2",
     {"linux_devices": [{"type": "c", "path": "/dev/fuse2", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3}]},
     "a e5 640 3\n"),
    ("stat -c %F /dev/pipe", {"linux_devices": [{"type": "p", "path": "/dev/pipe"}]}, "fifo\n"),
    ("cat /proc/self/uid_map | tr -s ' '",
     {"linux_namespaces": [*SPACES, {"type": "user"}], "linux_uidMappings": IDS, "linux_gidMappings": IDS},
     " 0 1000000 65536\n"),
    ("stat -c '%t %T' /dev/null; echo x >/dev/null && echo written",
     {"linux_namespaces": [*SPACES, {"type": "user"}], "linux_uidMappings": IDS, "linux_gidMappings": IDS},
     "1 3\nwritten\n"),
    ("grep Seccomp: /proc/self/status", {"linux_seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}, "Seccomp:\t2\n"),
    ("grep Seccomp: /proc/self/status", {"linux_seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": [
        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}}, "Seccomp:\t2\n"),
    ("hostname x 2>&1 | grep -c permitted",
     {"linux_seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
         {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]}, **sets(bounding=["SYS_ADMIN"])}, "1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "changes", "printed"), SEEN, ids=[script[:40] for script, _, _ in SEEN])
def test_what_a_container_sees(runtime: Runtime, script: str, changes: dict[str, Any], printed: str) -> None:
    if "user" in str(changes.get("linux_namespaces")):
        for path in (runtime.root, *runtime.root.rglob("*")):
            os.chown(path, 1_000_000, 1_000_000, follow_symlinks=False)
    assert runtime.run("sh", "-c", script, **changes) == printed


def test_no_descriptor_of_ours_is_left(runtime: Runtime) -> None:
    assert runtime.run("ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]  # the last is the directory that it reads


@pytest.mark.parametrize(
    ("options", "line"), [(["rbind", "ro"], "ro"), (["bind", "rw", "nosuid", "noexec"], "rw,nosuid,noexec")]
)
def test_bind_mounts(runtime: Runtime, tmp_path: Path, options: list[str], line: str) -> None:
    (tmp_path / "data").mkdir()
    bind = {"destination": "/data", "source": str(tmp_path / "data"), "options": options}
    printed = runtime.run("grep", " /data ", "/proc/self/mountinfo", mounts=[PROC, DEV, bind])
    assert printed.split()[5].startswith(line)


def test_a_tmpfs_may_begin_with_what_the_image_has(runtime: Runtime) -> None:
    (runtime.root / "etc" / "deep").mkdir(parents=True)
    (runtime.root / "etc" / "deep" / "file").write_text("content")
    (runtime.root / "etc" / "link").symlink_to("deep/file")
    os.mkfifo(runtime.root / "etc" / "pipe")
    tmpfs = {"destination": "/etc", "type": "tmpfs", "options": ["tmpcopyup", "size=64k"]}
    assert runtime.run("sh", "-c", "cat /etc/link; ls /etc", mounts=[PROC, DEV, tmpfs]) == "contentdeep\nlink\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])
def test_hooks_get_the_state(runtime: Runtime, tmp_path: Path, kind: str) -> None:
    told = tmp_path / "told"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >{told}"], "env": ["PATH=/bin:/usr/bin"], "timeout": 20}
    runtime.run("true", hooks={kind: [hook]}, annotations={"a.b": "c"})
    text = told.read_text()
    assert '"id": "one"' in text
    assert '"a.b": "c"' in text


def test_a_hook_of_the_start_runs_inside(runtime: Runtime) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "touch /hooked"], "env": ["PATH=/bin"]}
    assert runtime.run("sh", "-c", "ls /hooked", hooks={"startContainer": [hook]}) == "/hooked\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_a_hook_that_fails_is_an_error(runtime: Runtime, kind: str) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo because; exit 3"], "env": ["PATH=/bin"]}
    sentence = runtime.fails("true", hooks={kind: [hook]})
    assert kind in sentence
    assert "status 3" in sentence
    assert "because" in sentence


def test_a_hook_that_takes_too_long_is_ended(runtime: Runtime) -> None:
    hook = {"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}
    assert "more than 1 s" in runtime.fails("true", hooks={"createRuntime": [hook]})


@pytest.mark.parametrize("place", ["dev", "proc"])
def test_a_link_in_place_of_a_directory_leads_nowhere(runtime: Runtime, tmp_path: Path, place: str) -> None:
    """CVE-2026-47766 of crun and CVE-2026-41579 of runc: with no mount of /dev they made nodes outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (runtime.root / place).symlink_to(outside)
    runtime.fails("true", mounts=[PROC] if place == "dev" else [PROC, DEV, PTS])
    assert os.listdir(outside) == []


@pytest.mark.parametrize("target", ["/link/new", "/up/new"])
def test_a_destination_leads_out_of_no_root(runtime: Runtime, tmp_path: Path, target: str) -> None:
    """CVE-2021-30465 and its like: links are followed below the container's root, and only there."""
    (runtime.root / "link").symlink_to(tmp_path)
    (runtime.root / "up").symlink_to("../" * 20 + str(tmp_path).lstrip("/"))
    tmpfs = {"destination": target, "type": "tmpfs", "options": ["size=64k"]}
    runtime.configure("true", mounts=[PROC, DEV, tmpfs])
    runtime.call("run", "--bundle", str(runtime.bundle), "one", check=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("target", ["/proc/self/exe", "/proc/1", "/proc/sys"])
def test_the_kernels_procfs_is_not_covered(runtime: Runtime, tmp_path: Path, target: str) -> None:
    """CVE-2019-16884: what a volume lays over /proc could swallow what is written there."""
    bind = {"destination": target, "source": str(tmp_path), "options": ["rbind"]}
    assert runtime.fails("true", mounts=[PROC, DEV, bind])


@pytest.mark.parametrize("number", [0, 3, 7, 200])
def test_no_working_directory_is_a_descriptor_of_ours(runtime: Runtime, number: int) -> None:
    """CVE-2024-21626"""
    assert runtime.fails("pwd", process_cwd=f"/proc/self/fd/{number}")


def test_the_interpreter_is_no_command(runtime: Runtime) -> None:
    """CVE-2019-5736"""
    assert "could not execute" in runtime.fails("/proc/self/exe")


def _interpreter(runtime: Runtime, *before: str) -> int:
    """What a create runs from, open with O_PATH, when the create itself has ended; it waits for its configuration."""
    os.mkfifo(runtime.bundle / "config.json")
    words = [str(PROGRAM), "--root", str(runtime.state), "create", "--bundle", str(runtime.bundle), "one"]
    with subprocess.Popen([*before, *words], stdin=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 30
        place = f"/proc/{child.pid}/exe"
        while os.readlink(place) not in ("/", "/memfd:mctl-oci (deleted)"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        opened = os.open(place, os.O_PATH)
        child.kill()
    return opened


def test_the_interpreter_is_read_only(runtime: Runtime) -> None:
    """By way of a script with #!/proc/self/exe it could be executed and then written to: CVE-2019-5736."""
    program = _interpreter(runtime)
    found = os.stat(program)
    with pytest.raises(OSError, match="Read-only file system"):  # opening it could be refused for its being executed
        os.utime(f"/proc/self/fd/{program}", ns=(found.st_atime_ns, found.st_mtime_ns))
    os.close(program)


def test_where_it_cannot_be_it_is_a_sealed_copy(runtime: Runtime) -> None:
    program = _interpreter(runtime, "setpriv", "--bounding-set", "-sys_admin")
    with open(f"/proc/self/fd/{program}", "rb") as copy:
        assert fcntl.fcntl(copy, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
    os.close(program)


def test_an_exec_is_bound_as_the_first_process_is(runtime: Runtime) -> None:
    runtime.configure("sleep", "100", linux_seccomp={"defaultAction": "SCMP_ACT_ALLOW"}, **ALL_OF_CHOWN)
    runtime.create()
    runtime.call("start", "one")
    script = f"{STATUS} | grep -E 'Seccomp:|CapBnd|CapInh'; ls /proc/self/fd"
    printed = runtime.call("exec", "one", "sh", "-c", script).stdout
    assert "CapInh:\t0000000000000000\nCapBnd:\t0000000000000001\nSeccomp:\t2" in printed
    assert printed.split()[-4:] == ["0", "1", "2", "3"]
    assert runtime.call("exec", "one", "sh", "-c", "exit 9", check=False).returncode == 9
    assert runtime.call("exec", "--user", "5:6", "--cwd", "/bin", "--env", "X=y", "one", "sh", "-c",
                        "id -u; id -g; pwd; echo $X").stdout.split() == ["5", "6", "/bin", "y"]  # fmt: skip
    for user in ("-1", "0x1", "1:", "4294967295", "root"):
        expected = 0 if user == "1:" else 255
        assert runtime.call("exec", "--user", user, "one", "true", check=False).returncode == expected
