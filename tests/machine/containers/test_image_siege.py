# SPDX-License-Identifier: GPL-3.0-or-later
"""The service is killed, or the power cut, amid a hundred imports and pulls: no half image is there, nothing else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .test_failing_disk import MOUNT, NO_NODES, NODES, SHUT_DOWN, UNMOUNT
from .test_registry import PASSWORD, REGISTRY, SERVE, WAIT, nothing_left, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

SIEGE = Path(__file__).parents[1] / "image_siege.py"
ROUNDS = 120
DISK = "4G"
CUTS = 8
LEDGER = "/srv/ledger"
BEGUN = f"for i in $(seq 600); do [ $(grep -c begun {LEDGER}) -ge {{}} ] && exit; sleep 1; done; exit 1"
REPOSITORY = f"{REGISTRY}/team/whole"
# Two images of several layers: what the siege pulls. Their files prove themselves, as those of its imports do.
FILL = """
set -e; mkdir -p /srv/whole/bin; cd /srv/whole; cp /bin/busybox bin/
head -c 3M /dev/urandom > one; sha256sum one | sed 's, one, /one,' > sums
mctl import . whole:0
printf 'FROM whole:0\\nCOPY two /\\nCOPY sums /\\n' > Containerfile
head -c 3M /dev/urandom > two; sha256sum two | sed 's, two, /two,' >> sums; mctl build -q -t whole:1 .
rm -r /srv/whole
"""
__all__ = ["registry"]


@pytest.fixture
def filled(registry: Mctl) -> Iterator[Mctl]:
    """Two images in the registry, none in the store, and the siege in the machine."""
    registry.shell(FILL)
    for number in (0, 1):
        registry("push", "--creds", "alice", f"whole:{number}", f"{REPOSITORY}:{number}", stdin=PASSWORD)
    registry("rmi", "-f", *(image["Id"] for image in json.loads(registry("images", "-a", "--json").stdout)))
    registry.machine.push(SIEGE, "/srv/siege.py")
    yield registry
    registry.shell(f"rm -f /srv/siege.py {LEDGER}")


@pytest.fixture
def disk(filled: Mctl, tmp_path: Path) -> Iterator[Mctl]:
    """The service's directory on a file system of its own, which can be cut off from its disk."""
    if filled.machine.kind == "nspawn" and not os.path.exists("/dev/loop-control"):
        pytest.skip("this host has no loop devices")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", tmp_path / "disk", DISK], check=True)
    packed = subprocess.run(["tar", "-C", tmp_path, "-cSz", "disk"], check=True, capture_output=True).stdout
    filled.machine.run(["tar", "-C", "/srv", "-xSz"], input=packed)
    filled.shell(NODES)
    filled.shell(f"set -e; systemctl stop mctld.service; {MOUNT}; systemctl start mctld.service")
    yield filled
    filled.shell(f"systemctl stop mctld.service; {UNMOUNT}; rm /srv/disk; systemctl start mctld.service; {NO_NODES}")


def besiege(mctl: Mctl, *words: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(
        mctl.machine.run(["python3", "-IS", "/srv/siege.py", *words], timeout=900).stdout
    )
    print(found)
    return found


@pytest.mark.siege
@pytest.mark.allow_journal(r".*")  # whatever it has to say about being killed
def test_a_hundred_imports_and_pulls_under_kills(filled: Mctl) -> None:
    found = besiege(filled, "kills", str(ROUNDS), "7", REPOSITORY)
    assert not found["lies"], found
    assert found["done"]["kills"] > 10, found
    assert min(found["done"].get(f"{what} done", 0) for what in ("import", "pull")) > 5, found
    nothing_left(filled)  # and `images` looks whether a layer is left when its images are gone


@pytest.mark.siege
@pytest.mark.qemu
@pytest.mark.allow_journal(r".*")  # whatever it has to say about the loss of power
def test_a_hundred_imports_and_pulls_and_power_cuts_among_them(filled: Mctl) -> None:
    """The reset button: what the guest has not written back is lost."""
    chance = random.Random(7)
    begun = 0
    filled.shell("sync")
    for cut in range(CUTS):
        acts = f"systemd-run -q --unit=siege-{cut} python3 -IS /srv/siege.py acts {LEDGER} {cut} {REPOSITORY}"
        filled.shell(f"touch {LEDGER}; {acts}")
        filled.shell(BEGUN.format(begun := begun + chance.randint(10, 18)), timeout=660)
        time.sleep(chance.uniform(0, 5))
        filled.machine.reset()  # type: ignore[attr-defined]
        filled.shell(SERVE)
        filled.machine.run(["bash", "-c", WAIT.format("127.0.0.1/5443")])
        found = besiege(filled, "proof", LEDGER)
        assert not found["lies"], found
        nothing_left(filled)
    done = found["done"]
    assert done["import begun"] + done["pull begun"] >= 10 * CUTS, done
    assert min(done.get(f"{what} done", 0) for what in ("import", "pull")) > 10, done


@pytest.mark.siege
@pytest.mark.allow_journal(r".*")  # whatever it has to say about a disk that is gone
def test_a_hundred_imports_and_pulls_and_a_disk_that_is_cut_off(disk: Mctl) -> None:
    """As above, without a reset: from one moment on nothing reaches the disk, nor what ext4 has in its journal."""
    chance = random.Random(11)
    begun = 0
    for cut in range(CUTS):
        acts = f"systemd-run -q --unit=siege-{cut} python3 -IS /srv/siege.py acts {LEDGER} {cut} {REPOSITORY}"
        disk.shell(f"touch {LEDGER}; {acts}")
        disk.shell(BEGUN.format(begun := begun + chance.randint(10, 18)), timeout=660)
        time.sleep(chance.uniform(0, 2))
        disk.shell(f'python3 -c "{SHUT_DOWN}"; systemctl kill -s KILL siege-{cut} mctld.service; '
                   f"systemctl stop siege-{cut} mctld.service; systemctl reset-failed")  # fmt: skip
        disk.shell(f"set -e; {UNMOUNT}; {MOUNT}; systemctl start mctld.service", timeout=120)
        found = besiege(disk, "proof", LEDGER)
        assert not found["lies"], found
        nothing_left(disk)
    done = found["done"]
    assert done["import begun"] + done["pull begun"] >= 10 * CUTS, done
    assert min(done.get(f"{what} done", 0) for what in ("import", "pull")) > 10, done
