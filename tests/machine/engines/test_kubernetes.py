# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods by containerd's CRI plugin, which the kubelet of a node talks to, with mctl-oci as the default runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from .cri import EXITED, NODE, RUNNING, Client
from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .machine import Engines

# As mctl-oci(8) says. These machines have no controller of processors, no plugins for networks, and no leave to
# shield a process from the out-of-memory killer.
CONFIG = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_cgroup = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "mctl-oci"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.mctl-oci]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.mctl-oci.options]
  BinaryName = "/usr/bin/mctl-oci"
  SystemdCgroup = true
"""
PATH = "/etc/containerd/config.toml"
BEGIN = f"""
cp -a {PATH} /srv/containerd.toml; cat > {PATH}; touch /etc/resolv.conf; mkdir -p /srv/pause
printf 'FROM busybox\\nCMD ["/bin/sleep", "1000000"]\\n' > /srv/pause/Containerfile
mctl build -q -t localhost/pause:1 /srv/pause; mctl save -o /srv/pause.tar localhost/pause:1; mctl rmi localhost/pause:1
systemctl restart containerd.service
ctr -n k8s.io image import /srv/pause.tar
ctr -n k8s.io image import --index-name docker.io/library/busybox:latest "$1"
"""
END = f"systemctl stop containerd.service; mv /srv/containerd.toml {PATH}; rm -r /srv/pause /srv/pause.tar"
POD = {
    "metadata": {"name": "pod", "uid": "1", "namespace": "default"},
    "log_directory": "/var/log/pods",
    "linux": {"security_context": {"namespace_options": {"network": NODE}}},
}


def container(name: str, *command: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "image": {"image": "docker.io/library/busybox:latest"},
            "command": list(command), "envs": [{"key": "TOLD", "value": name}], "log_path": f"{name}.log"}  # fmt: skip


@pytest.fixture
def cri(clean: Engines) -> Iterator[Client]:
    clean.run(["sh", "-ec", BEGIN, "sh", IMAGE], input=CONFIG, timeout=120)
    made = Client(clean.root / "run/containerd/containerd.sock")
    yield made
    made.close()
    clean.run(["sh", "-ec", END])


def test_a_pod_of_two_containers(cri: Client, clean: Engines) -> None:
    pod = cri.run_pod(POD)
    script = "echo begun $TOLD; exec sleep 1000"
    one, two = (cri.create(pod, POD, container(name, "sh", "-c", script)) for name in ("one", "two"))
    for name in (one, two):
        cri.of("StartContainer", name)
        assert cri.status(name)[0] == RUNNING
    runtime = ["mctl-oci", "--root", "/run/containerd/runc/k8s.io", "list", "--quiet"]
    assert sorted(clean.run(runtime).text.split()) == sorted((pod, one, two))
    # All are in the PID namespace of the pod, whose first process is the sandbox's.
    assert cri.execute(one, "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; pidof sleep | wc -w; exit 7") == (
        b"/bin/sleep 1000000 3\n", 7)  # fmt: skip
    assert clean.read("/var/log/pods/two.log").split()[-2:] == [b"begun", b"two"]
    cri.of("StopContainer", one)
    assert (cri.status(one), cri.status(two)[0]) == ((EXITED, 137), RUNNING)
    cri.of("StopPodSandbox", pod)
    cri.of("RemovePodSandbox", pod)
    assert cri.call("ListContainers") == cri.call("ListPodSandbox") == {}


def test_what_cannot_be_started_is_told(cri: Client) -> None:
    pod = cri.run_pod(POD)
    made = cri.create(pod, POD, container("one", "nonsense"))
    with pytest.raises(grpc.RpcError, match=r"executable file not found in \$PATH"):
        cri.of("StartContainer", made)
    cri.of("StopPodSandbox", pod)
    cri.of("RemovePodSandbox", pod)
