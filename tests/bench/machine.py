# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine in which everything is measured: throw-away, of this run alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import load
from bench.image import base
from machine import enter, host
from machine.nspawn import LAUNCH, REAL_DIRECTORIES, Nspawn

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = "/srv/bench/code"
# A disk for what containers are made of, where the host's own would spoil the figures. It goes with the last process.
DISK = f"""
set -eu
truncate -s 12G "$1/disk"
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1/disk"
mkdir "$1/ground"
mount -o loop "$1/disk" "$1/ground"
for each in {" ".join(REAL_DIRECTORIES)}; do
    mkdir -p "$1/ground/$each"
    mount --bind "$1/ground/$each" "$1/$each"
done
"""
TOOLS = {"mkfs.ext4": "e2fsprogs"}


class Bench(Nspawn):
    """An nspawn machine whose base image may hold the peers."""

    def __init__(self, distro: str, *, peers: bool, network: bool = False) -> None:
        super().__init__(distro, name=f"bench-{distro}-{os.getpid()}")
        self._peers = peers
        self._network = network

    def _launch(self, base_of_all: Path) -> subprocess.Popen[bytes]:
        if load.disk(str(self.directory)) == load.UNSTEADY and Path("/dev/loop-control").exists():
            host.require(TOOLS)
            self.launch = DISK + LAUNCH
        return super()._launch(base(self.distro, peers=True, network=self._network) if self._peers else base_of_all)

    def prepare(self) -> None:
        """Boots, with this tree's package and this directory inside."""
        deb = enter.build()
        if not deb:
            raise host.HostError("nothing to measure: the package cannot be built")
        self.boot()
        self.install(deb)
        self.push(Path(__file__).parent, f"{CODE}/bench")

    def measure(self, measures: Sequence[str], runs: int) -> dict[str, Any]:
        """The report; progress goes to this process' stderr."""
        python = ["env", f"PYTHONPATH={CODE}", "/usr/bin/python3", "-B", "-P", "-m", "bench.inside"]
        wish = json.dumps({"measures": list(measures), "runs": runs}).encode()
        done = subprocess.run(self.outer(python), input=wish, stdout=subprocess.PIPE, check=False, env={})
        if done.returncode:
            raise host.HostError(f"the measurement ended with {done.returncode}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report
