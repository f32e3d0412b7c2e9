# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine: images are imported, pulled and removed. Prints as JSON what was done, and a sentence on each
image that is not what it should be.

    python3 -IS image_siege.py kills ROUNDS SEED REPOSITORY    while the service is killed at random
    python3 -IS image_siege.py acts LEDGER SEED REPOSITORY     until the machine is reset; LEDGER has what it does
    python3 -IS image_siege.py proof LEDGER                    when the power is back

Each image holds some files of random bytes and their digests, which a container of it compares: half an image would
not pass. What was answered has to be there; what was cut off may be there or not, but not by half. A power cut may
take back what was answered a moment before, for the database is as durable as SQLite's log with synchronous = NORMAL.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path

WORKERS = 3
PATIENCE = 60.0  # seconds until an answer has to come again
BUSYBOX = Path("/bin/busybox").read_bytes()
PROVE = ["/bin/busybox", "sha256sum", "-s", "-c", "/sums"]
CREDENTIALS = b"open sesame\n"


def mctl(*argv: str, given: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(["mctl", *argv], input=given, capture_output=True, check=False, timeout=120)
    return done.returncode, (done.stdout or done.stderr).decode()


def surely(*argv: str) -> str:
    """The service may be starting: it has to answer before long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status, text = mctl(*argv)
        if status == 0:
            return text
        if time.monotonic() > deadline:
            raise TimeoutError(f"{argv} has failed for {PATIENCE} s: {text}")
        time.sleep(0.1)


def archive(chance: random.Random) -> bytes:
    """A program, files, and what their digests are."""
    out, sums = io.BytesIO(), ""
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(chance.randint(1, 20)):
            content = chance.randbytes(chance.randint(0, 400_000))
            sums += f"{hashlib.sha256(content).hexdigest()}  /f{number}\n"
            add(tar, f"f{number}", content)
        add(tar, "bin/busybox", BUSYBOX)
        add(tar, "sums", sums.encode())
    return out.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o755
    tar.addfile(info, io.BytesIO(content))


class Siege:
    """ledger: a file that survives the loss of power, or none."""

    def __init__(self, seed: int, repository: str, ledger: Path | None = None) -> None:
        self.chance = random.Random(seed)
        self.repository = repository
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_SYNC) if ledger else None
        self.done: Counter[str] = Counter()
        self.lies: list[str] = []
        self.over = threading.Event()

    def worker(self, number: int, rounds: int) -> None:
        chance = random.Random(self.chance.randrange(1 << 32))
        try:
            for turn in range(rounds):
                self.act(f"siege{number}:{turn}", f"{self.repository}:{chance.randint(0, 1)}", chance)
        except Exception as error:
            self.lies.append(f"worker {number}: {type(error).__name__}: {error}")

    def act(self, name: str, remote: str, chance: random.Random) -> None:
        what = "import" if chance.random() < 0.6 else "pull"
        self.note(f"{what} begun")
        if what == "import":
            status, _ = mctl("import", "-", name, given=archive(chance))
        else:
            name = remote
            status, _ = mctl("pull", "--creds", "alice", remote, given=CREDENTIALS)
        self.note(f"{what} {'done' if status == 0 else 'cut off'}")
        if status == 0 and what == "import" and name not in self.names():
            self.lies.append(f"{name} is not there after it was answered")
        if chance.random() < 0.4:
            mctl("rmi", name)

    def note(self, what: str) -> None:
        self.done[what] += 1
        if self.ledger is not None:
            os.write(self.ledger, f"{what}\n".encode())

    def names(self) -> set[str]:
        return {name for image in json.loads(surely("images", "-a", "--json")) for name in image["Names"]}

    def killer(self) -> None:
        while not self.over.wait(self.chance.uniform(0.2, 6.0)):
            shown = subprocess.run(["systemctl", "show", "-P", "MainPID", "mctld"], capture_output=True, check=True)
            if pid := int(shown.stdout):
                os.kill(pid, signal.SIGKILL)
                self.done["kills"] += 1

    def kills(self, rounds: int) -> None:
        killer = threading.Thread(target=self.killer)
        killer.start()
        self.acts(rounds // WORKERS)
        self.over.set()
        killer.join()

    def acts(self, rounds: int) -> None:
        workers = [threading.Thread(target=self.worker, args=(number, rounds)) for number in range(WORKERS)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()

    def prove(self) -> None:
        for image in json.loads(surely("images", "-a", "--json")):
            status, text = mctl("run", "--rm", "--network", "none", image["Id"], *PROVE)
            self.done["images proved"] += 1
            if status:
                self.lies.append(f"{image['Names']} runs, but is not whole: {status} {text}")
        status, text = mctl("image", "check")
        if status or any(not line.endswith(": ok") for line in text.splitlines()):
            self.lies.append(f"image check: {text}")


def main(how: str, *words: str) -> None:
    if how == "kills":
        rounds, seed, repository = words
        siege = Siege(int(seed), repository)
        siege.kills(int(rounds))
        siege.prove()
    elif how == "acts":
        ledger, seed, repository = words
        siege = Siege(int(seed), repository, Path(ledger))
        siege.acts(sys.maxsize)
    else:
        (ledger,) = words
        siege = Siege(0, "")
        siege.done = Counter(Path(ledger).read_text(encoding="ascii").splitlines())
        siege.prove()
    print(json.dumps({"done": dict(sorted(siege.done.items())), "lies": siege.lies}))


main(*sys.argv[1:])
