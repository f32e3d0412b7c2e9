# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with Debian's other engines, whose default runtime is mctl-oci as mctl-oci(8) says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.image import base
from machine.nspawn import Nspawn

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

IMAGE = "/srv/busybox.tar"
# Overlays cannot lie on the machine's own root, which is one.
STORES = ("containers", "docker", "containerd")
PREPARE = """
for name; do mkdir -p /srv/store/$name /var/lib/$name; mount --bind /srv/store/$name /var/lib/$name; done
mkdir -p /etc/docker /etc/containers
cat > /etc/docker/daemon.json <<'END'
{"runtimes": {"mctl-oci": {"path": "/usr/bin/mctl-oci"}},
 "default-runtime": "mctl-oci"}
END
# No controller of processes here: podman's default limit could not be kept.
cat > /etc/containers/containers.conf <<'END'
[containers]
pids_limit = 0
[engine]
runtime = "/usr/bin/mctl-oci"
END
"""
TRACES = """
for i in $(seq 100); do
    found=$(find /run -path '*/.seccomp' -prune -o -name state.json -path '*/mctl-oci/*' -print
            find /run/docker /run/containerd -name state.json 2>/dev/null
            ls -d /sys/fs/cgroup/*/libpod-* /sys/fs/cgroup/*/docker-* /sys/fs/cgroup/default/*/ 2>/dev/null
            systemctl list-units --all --plain --no-legend 'libpod-*.scope' 'docker-*.scope')
    [ -n "$found" ] || exit 0
    sleep 0.1
done
echo "$found"
"""


class Engines(Nspawn):
    """name tells two of them apart."""

    def __init__(self, distro: str, *, name: str = "") -> None:
        super().__init__(distro)
        self.name += f"-engines{name}"
        self.directory = self.directory.with_name(self.name)

    def _launch(self, base_of_all: Path) -> subprocess.Popen[bytes]:
        return super()._launch(base(self.distro, peers=True))

    def prepare(self) -> None:
        self.run(["sh", "-ec", PREPARE, "sh", *STORES])

    def traces(self) -> str:
        """What there still is of containers after a while."""
        return self.run(["sh", "-c", TRACES], timeout=60).text
