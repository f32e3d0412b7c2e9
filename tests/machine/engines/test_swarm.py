# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's Swarm over two machines, each with mctl-oci as its default runtime."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from .machine import IMAGE, Engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.siege
SECONDS = 120  # swarm takes a node for lost after three heartbeats of five seconds, and then starts its tasks anew
ADDRESSES = {"one": "192.0.2.1", "two": "192.0.2.2"}
JOINED = """
hostname "$1"
ip address add "$2/24" dev swarm; ip link set swarm up
systemctl start docker.service
docker load -i "$3"
"""


class Swarm:
    """Asked at the first machine, its manager."""

    def __init__(self, machines: dict[str, Engines]) -> None:
        self.machines = machines

    def __call__(self, *words: str) -> str:
        return self.machines["one"].run(["docker", *words], timeout=SECONDS).text.strip()

    def tasks(self, name: str) -> Counter[str]:
        """How many run, by node."""
        shown = ("--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}")
        rows = [line.split() for line in self("service", "ps", name, *shown).splitlines()]
        return Counter(row[0] for row in rows if row[1] == "Running")

    def becomes(self, name: str, wanted: Counter[str]) -> None:
        deadline = time.monotonic() + SECONDS
        while (found := self.tasks(name)) != wanted:
            assert time.monotonic() < deadline, (found, self("service", "ps", "--no-trunc", name))
            time.sleep(0.5)


    def remove_network(self, name: str) -> None:
        """Tasks hold it until they have ended."""
        script = f"until docker network rm {name}; do sleep 0.5; done"
        self.machines["one"].run(["sh", "-c", script], timeout=SECONDS)


@pytest.fixture(scope="module")
def swarm(pytestconfig: pytest.Config, deb: Path) -> Iterator[Swarm]:
    one, two = (Engines(pytestconfig.getoption("--distro"), name=f"-{name}") for name in ADDRESSES)
    with one, two:
        machines = dict(zip(ADDRESSES, (one, two), strict=True))
        for machine in machines.values():
            machine.boot()
            machine.install(deb)
            machine.prepare()
        one.run(["sh", "-ec", f"mctl import --busybox; mctl save -o {IMAGE} busybox"])
        two.write(IMAGE, one.read(IMAGE))
        subprocess.run(["ip", "link", "add", "swarm", "netns", str(one.leader), "type", "veth",
                        "peer", "name", "swarm", "netns", str(two.leader)], check=True)  # fmt: skip
        for name, machine in machines.items():
            machine.run(["sh", "-ec", JOINED, "sh", name, ADDRESSES[name], IMAGE], timeout=SECONDS)
        made = Swarm(machines)
        made("swarm", "init", "--advertise-addr", ADDRESSES["one"])
        token = made("swarm", "join-token", "-q", "worker")
        two.run(["docker", "swarm", "join", "--token", token, f"{ADDRESSES['one']}:2377"], timeout=SECONDS)
        yield made


def test_tasks_reach_each_other_over_the_machines(swarm: Swarm) -> None:
    """By a VXLAN and round-robin DNS. Virtual addresses and Swarm's published ports need IPVS of the kernel."""
    swarm("network", "create", "-d", "overlay", "mesh")
    swarm("service", "create", "--detach", "--no-resolve-image", "--name", "pair", "--mode", "global",
          "--endpoint-mode", "dnsrr", "--network", "mesh", "busybox", "sh", "-c",
          "hostname > /index.html; exec httpd -f -p 80 -h /")  # fmt: skip
    swarm.becomes("pair", Counter(one=1, two=1))
    addresses = "nslookup tasks.pair | sed -n 's/^Address: \\(10[.0-9]*\\)$/\\1/p'"
    names = f"for address in $({addresses}); do timeout 5 wget -qO- http://$address/; done"
    asked = f"until [ $({{ {names}; }} | sort -u | wc -l) = 2 ]; do sleep 1; done"
    for machine in swarm.machines.values():
        machine.run(["sh", "-ec", 'docker exec $(docker ps -q) sh -c "$0"', asked], timeout=SECONDS)
    swarm("service", "rm", "pair")
    swarm.remove_network("mesh")


def test_a_service_is_spread_scaled_and_survives_the_loss_of_a_node(swarm: Swarm) -> None:
    swarm("service", "create", "--detach", "--no-resolve-image", "--name", "web", "--replicas", "4", "busybox",
          "sleep", "100000")  # fmt: skip
    swarm.becomes("web", Counter(one=2, two=2))
    for machine in swarm.machines.values():
        script = "docker inspect -f '{{.HostConfig.Runtime}}' $(docker ps -q --filter name=web)"
        runtimes = machine.run(["sh", "-c", script]).text.split()
        assert runtimes == ["mctl-oci"] * 2
    swarm("service", "scale", "--detach", "web=10")
    swarm.becomes("web", Counter(one=5, two=5))
    swarm.machines["two"].kill()
    swarm.becomes("web", Counter(one=10))
    swarm("service", "rm", "web")
    assert swarm.machines["one"].traces() == ""
