# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine in systemd-nspawn: the outer kernel, its own PID 1, up in about a second."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from machine import host
from machine.guest import PATH, Machine, MachineError, Result, environment
from machine.image import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

# The overlay lives in a mount namespace of its own: it is gone with the last process, whatever ends that.
LAUNCH = """
set -eu
run=$1 base=$2 group=$3; shift 3
[ -z "$group" ] || echo $$ >"$group/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work" "$run/root"
exec "$@"
"""
# An overlay's upper directory may not lie on overlayfs: these come from the outer file system.
REAL_DIRECTORIES = ("var/lib/mctl", "srv")
ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1", "PATH": PATH}
# All calls: a real host has no filter around PID 1 either, and the escape probes must meet ours, not this one.
FILTER = "@known"
DEVICES = ("/dev/fuse", "/dev/net/tun")
BOOT_SECONDS = 60.0


class Nspawn(Machine):
    """name tells machines apart; keep lets it outlive this process (tests/machine/enter)."""

    kind = "nspawn"
    launch = LAUNCH

    def __init__(self, distro: str, *, name: str | None = None, keep: bool = False) -> None:
        self.distro = distro
        self.name = name or f"{distro}-{os.getpid()}"
        self.keep = keep
        self.directory = host.cache() / "runs" / self.name
        self.leader = 0
        self._supervisor = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """The machine's root directory as the outer host sees it (beware of absolute symlinks)."""
        return Path(f"/proc/{self.leader}/root")

    def boot(self) -> None:
        host.require(host.NSPAWN_TOOLS)
        base = Image(self.distro, with_kernel=False).tree()
        sweep()
        self.close()
        for name in ("upper", "work", "root", *REAL_DIRECTORIES):
            (self.directory / name).mkdir(parents=True)
        self._start(base)
        self.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"])  # a new namespace takes it over from the host

    def _start(self, base: Path) -> None:
        began = time.monotonic()
        self._process = self._launch(base)
        self._remember(self._process.pid)
        try:
            self.leader = self._await_leader()
            self._remember(self._process.pid)
            self.wait_booted(BOOT_SECONDS)
        except BaseException as failure:
            failure.add_note(self.console())
            self.close()
            raise
        host.say(f"nspawn {self.distro} booted in {time.monotonic() - began:.1f} s")

    def attach(self) -> bool:
        """Takes over a machine that an earlier process booted; False when there is none."""
        state = _state(self.directory)
        if not state or not host.is_alive(state["pid"], state["started"]) or not state["leader"]:
            return False
        self._supervisor, self.leader = state["pid"], state["leader"]
        return True

    def console(self) -> str:
        """The end of what the machine printed at boot."""
        log = self.directory / "console.log"
        return f"console:\n{log.read_text(errors='replace')[-4000:]}" if log.exists() else "no console"

    def outer(self, argv: Sequence[str], *, user: str | None = None) -> list[str]:
        """The command line on the outer host that runs argv inside, for Popen (pass env={}).

        It moves into the leader's cgroup first: seen from inside, a process of another cgroup has no unit.
        """
        enter = 'echo $$ >"$0" && exec "$@"'
        variables = [f"{name}={value}" for name, value in environment(user).items()]
        inside = ["env", "-i", *variables, "setpriv", "--pdeathsig", "KILL"]
        if user:
            inside += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return ["sh", "-c", enter, str(self._leader_group() / "cgroup.procs"),
                "nsenter", "-t", str(self.leader), "-a", "-r", "-w", *inside,
                "--", "sh", "-c", 'cd; exec "$@"', "sh", *argv]  # fmt: skip

    def command(self, argv: Sequence[str], *, user: str | None = None, timeout: float, stdin: bytes) -> Result:
        if not self._is_up():
            raise MachineError(f"{self.name} is not running")
        done = subprocess.run(self.outer(argv, user=user), input=stdin, timeout=timeout, check=False,
                              capture_output=True, env={"PATH": PATH})  # fmt: skip
        return Result(tuple(argv), done.returncode, done.stdout, done.stderr)

    def shell(self) -> int:
        return self.interact(["bash", "-l"])

    def interact(self, argv: Sequence[str], *, user: str | None = None) -> int:
        """Runs argv with this process' own stdin, stdout and stderr."""
        term = {"TERM": os.environ.get("TERM", "dumb"), "PATH": PATH}
        return subprocess.run(self.outer(argv, user=user), check=False, env=term).returncode

    def reboot(self) -> None:
        """An orderly reboot; returns when the machine is up again. For one that this process has booted."""
        started = host.start_time(self.leader)
        self.run(["systemctl", "reboot"], check=False)
        deadline = time.monotonic() + BOOT_SECONDS
        while started is not None and host.is_alive(self.leader, started):
            if time.monotonic() > deadline:
                raise MachineError(f"{self.name} does not shut down: {self.console()}")
            time.sleep(0.02)
        self._await_end(10)  # with --keep-unit it is left to others to start it again: exit status 133
        self._start(Image(self.distro, with_kernel=False).tree())

    def reset(self) -> None:
        """No process is told; then it is booted again with what is on its disk."""
        self.kill()
        self._start(Image(self.distro, with_kernel=False).tree())

    def poweroff(self) -> None:
        self.run(["systemctl", "poweroff"], check=False)
        self._await_end(30)

    def kill(self) -> None:
        if self._is_up():
            os.kill(self.leader or self._supervisor, signal.SIGKILL)  # init of a PID namespace takes all others along
            self._await_end(10)

    def close(self) -> None:
        if not self._supervisor:
            self.attach()
        self.kill()
        _remove(self.directory)
        self.leader = self._supervisor = 0

    def _launch(self, base: Path) -> subprocess.Popen[bytes]:
        group = "" if host.under_systemd() else str(_make_group(self.directory))
        deathsig = [] if self.keep else ["setpriv", "--pdeathsig", "TERM"]
        command = [*deathsig, "unshare", "--mount", "--propagation", "private", "sh", "-c", self.launch, "sh",
                   str(self.directory), str(base), group, *self._nspawn()]  # fmt: skip
        with (self.directory / "console.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT,
                                    start_new_session=True)  # fmt: skip

    def _nspawn(self) -> list[str]:
        flags = ["systemd-nspawn", "--quiet", "--register=no", "-D", str(self.directory / "root"), "--boot",
                 f"--machine=mctl-{self.name}", f"--hostname={self.distro}", "--private-network", "--capability=all",
                 f"--system-call-filter={FILTER}", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                 "--console=read-only", "--rlimit=RLIMIT_NOFILE=1024:524288"]  # fmt: skip
        if not host.under_systemd():
            flags.append("--keep-unit")
        flags += [f"--bind={device}" for device in DEVICES if Path(device).exists()]
        return flags + [f"--bind={self.directory / path}:/{path}" for path in REAL_DIRECTORIES]

    def _await_leader(self) -> int:
        assert self._process is not None
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise MachineError(f"systemd-nspawn ended with {self._process.returncode}")
            for pid in _children(self._process.pid):
                if _is_init(pid):
                    return pid
            time.sleep(0.01)
        raise MachineError("systemd-nspawn started no init")

    def _leader_group(self) -> Path:
        return _group_of(self.leader)

    def _remember(self, pid: int) -> None:
        self._supervisor = pid
        state = {"pid": pid, "started": host.start_time(pid), "leader": self.leader}
        (self.directory / "state.json").write_text(json.dumps(state))

    def _is_up(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        state = _state(self.directory)
        return bool(self._supervisor and state and host.is_alive(state["pid"], state["started"]))

    def _await_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._is_up():
            if time.monotonic() > deadline:
                os.kill(self._supervisor, signal.SIGKILL)
            time.sleep(0.02)


def sweep() -> None:
    """Removes what machines left whose process is gone, be it by a crash or a power cut."""
    for directory in (host.cache() / "runs").glob("*"):
        state = _state(directory)
        if state and not host.is_alive(state["pid"], state["started"]):
            _remove(directory)


def _state(directory: Path) -> dict[str, int] | None:
    try:
        state: dict[str, int] = json.loads((directory / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state


def _remove(directory: Path) -> None:
    if not host.under_systemd():
        _remove_group(_group(directory))
    for _ in range(50):  # the kernel drops the last mounts of a dead PID namespace a moment after its init
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)
    raise MachineError(f"{directory} cannot be removed")


def _group(directory: Path) -> Path:
    """One for each machine, also where two caches have machines of the same name: two PID 1 in one group remove each
    other's cgroups, and a start fails now and then."""
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return host.cgroup_mount() / f"mctl-machine-{directory.name}-{digest}"


def _make_group(directory: Path) -> Path:
    mount = host.cgroup_mount()
    controllers = (mount / "cgroup.controllers").read_text().split()
    with contextlib.suppress(OSError):  # busy where this process lives in the root of a container
        (mount / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
    group = _group(directory)
    group.mkdir(exist_ok=True)
    return group


def _remove_group(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def _group_of(pid: int) -> Path:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return host.cgroup_mount() / line[3:].strip("/")
    raise MachineError(f"process {pid} is in no cgroup v2")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_init(pid: int) -> bool:
    """True for PID 1 of a new PID namespace that has become systemd (proc(5): NSpid)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return fields["NSpid"].split()[1:] == ["1"] and fields["Name"].strip() == "systemd"
