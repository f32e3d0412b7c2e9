# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine (python3 -IS - KILLS SEED): containers are made, started, stopped and removed while the service
and the spawner are killed at random. Prints as JSON what was found: kills, operations, and sentences on every lie.

A call that was cut off may have happened or not; what the service says afterwards has to be what the kernel shows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

WORKERS = 4
ROOTFS = "/srv/root"
PATIENCE = 30.0  # seconds until an answer has to come again
VERBS = {
    "run": ["run", "-d", "--name", "{}", ROOTFS, "sleep", "1000"],
    "create": ["create", "--name", "{}", ROOTFS, "sleep", "1000"],
    "start": ["start", "{}"],
    "stop": ["stop", "-t", "0", "{}"],
    "kill": ["kill", "{}"],
    "remove": ["rm", "{}"],
    "force": ["rm", "-f", "{}"],
}
# What may be there after a verb that was answered: states, "" for no such container.
AFTER = {
    "run": {"running"}, "create": {"created"}, "start": {"running"}, "stop": {"exited"}, "remove": {""}, "force": {""},
}  # fmt: skip
LIVE = {"starting", "running", "stopping"}


def mctl(*argv: str) -> tuple[int, str]:
    done = subprocess.run(["mctl", *argv], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def standing(name: str) -> dict[str, Any]:
    """{} if there is none. The service may be starting: it has to answer before long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status, text = mctl("ps", "-a", "--json=short", "--filter", f"name=^{name}$")
        if status == 0:
            found: list[dict[str, Any]] = json.loads(text)
            return found[0] if found else {}
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer for {PATIENCE} s: {text}")
        time.sleep(0.05)


def alive(name: str) -> set[int]:
    """The processes in its scope."""
    found = set()
    for file in Path("/sys/fs/cgroup/mctl.slice").glob(f"*/mctl-{name}.scope/cgroup.procs"):
        try:
            found |= {int(line) for line in file.read_text().split()}
        except OSError:
            continue
    return found


def main_pid(unit: str) -> int:
    return int(subprocess.run(["systemctl", "show", "-P", "MainPID", unit], capture_output=True, check=True).stdout)


class Siege:
    def __init__(self, kills: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kills = kills
        self.done: Counter[str] = Counter()
        self.lies: list[str] = []
        self.refusals: Counter[str] = Counter()
        self.over = threading.Event()

    def worker(self, name: str, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not self.over.is_set():
                self.act(name, chance)
        except Exception as error:
            self.lies.append(f"{name}: {type(error).__name__}: {error}")

    def act(self, name: str, chance: random.Random) -> None:
        before = self.settled(name)
        verbs = {"": ["run", "create"], "created": ["start", "remove", "force"], "exited": ["start", "remove", "force"]}
        verb = chance.choice(verbs.get(before, ["stop", "kill", "force"]))
        status, text = mctl(*(word.format(name) for word in VERBS[verb]))
        self.done[f"{verb} {'done' if status == 0 else 'failed'}"] += 1
        if status:
            self.refusals[f"{verb}: {text.strip().replace(name, 'NAME')}"] += 1
        after = self.settled(name)
        if status == 0 and verb in AFTER and after not in AFTER[verb]:
            self.lies.append(f"{name} is {after or 'gone'} after {verb} was answered (it was {before or 'not there'})")
        if status and "Traceback" in text:
            self.lies.append(f"{name}: {verb}: {text}")
        if status and before and not after and verb not in ("remove", "force"):
            self.lies.append(f"{name} is lost: it was {before}, and {verb} failed: {text}")

    def settled(self, name: str) -> str:
        """Its state, once it agrees with what the kernel shows; it may take a moment to be told."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = standing(name)
            state, pids = found.get("State", ""), alive(name)
            if state == "running" and found["MainPID"] in pids:
                return "running"
            if state in ("created", "exited", "") and not pids:
                return str(state)
            if time.monotonic() > deadline:
                self.lies.append(f"{name} is {state or 'gone'} (pid {found.get('MainPID')}) and has processes {pids}")
                return str(state)
            time.sleep(0.02)

    def await_success(self, count: int) -> None:
        """A busy machine gets no further between two kills than to start the service again."""
        deadline = time.monotonic() + PATIENCE
        while sum(n for what, n in tuple(self.done.items()) if what.endswith("done")) <= count:
            if self.lies or time.monotonic() > deadline:
                return
            time.sleep(0.02)

    def killer(self) -> None:
        for number in range(self.kills):
            self.await_success(number)
            time.sleep(self.chance.uniform(0.0, 1.0))
            unit = "mctl-spawner.service" if number % 4 == 3 else "mctld.service"
            pid = main_pid(unit)
            if pid:
                os.kill(pid, signal.SIGKILL)
                self.done[f"killed {unit}"] += 1
        self.over.set()

    def run(self) -> dict[str, Any]:
        names = [f"siege{number}" for number in range(WORKERS)]
        threads = [threading.Thread(target=self.worker, args=(name, n)) for n, name in enumerate(names)]
        for thread in threads:
            thread.start()
        self.killer()
        for thread in threads:
            thread.join()
        for name in names:
            if standing(name):
                status, text = mctl("rm", "-f", name)
                if status:
                    self.lies.append(f"{name} cannot be removed: {text}")
        done, refusals = dict(sorted(self.done.items())), dict(self.refusals.most_common())
        return {"done": done, "lies": self.lies, "refusals": refusals}


print(json.dumps(Siege(int(sys.argv[1]), int(sys.argv[2])).run()))
