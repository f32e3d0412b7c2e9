# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports and the way out, with a network namespace in the machine as the world outside.

The machine has 192.0.2.1 and 2001:db8::1 on its uplink; outside, 192.0.2.2 and 2001:db8::2, knows no other route.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_network import KILLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

OPENED = "somebody has switched off forwarding"
MENDED = "somebody has removed the nftables table"
# Who says localhost tries ::1 first: an answer that does not come would keep them for minutes.
BY_NAME = """
import socket
with socket.socket(socket.AF_INET6) as client:
    client.settimeout(20)
    try:
        client.connect(("::1", 8080))
    except ConnectionRefusedError:
        print("refused")
"""
SERVE = "exec nc -ll -p 80 -e sh -c 'echo hello from $(hostname)'"


@pytest.fixture
def outside(mctl: Mctl) -> Iterator[None]:
    mctl.shell("ip netns add outside")
    for command in (
        "ip link add uplink type veth peer name eth0 netns outside",
        "ip addr add 192.0.2.1/24 dev uplink",
        "ip addr add 2001:db8::1/64 dev uplink nodad",
        "ip link set uplink up",
        "ip -n outside addr add 192.0.2.2/24 dev eth0",
        "ip -n outside addr add 2001:db8::2/64 dev eth0 nodad",
        "ip -n outside link set eth0 up",
        "ip -n outside link set lo up",
    ):
        mctl.shell(command)
    yield
    mctl.shell("ip netns pids outside | xargs -r kill -9; ip link delete uplink; ip netns delete outside")
    mctl.shell("umount /run/netns; rmdir /run/netns")


def ask(mctl: Mctl, address: str, port: int, where: str = "", options: str = "") -> str:
    """What a connection brings, from outside or, with another `where`, from elsewhere; empty if none is answered."""
    run = {"": "ip netns exec outside ", "host": ""}[where]
    script = f"{run}busybox timeout 3 busybox nc -w 2 {options} {address} {port} </dev/null"
    return mctl.shell(script, check=False).text.strip()


def serve(mctl: Mctl, name: str, *options: str, script: str = SERVE) -> None:
    mctl.run("sh", "-c", script, options=["-d", "--name", name, *options])
    ready = "i=0; until busybox grep -q ':0050' /proc/{pid}/net/tcp6; do i=$((i+1)); [ $i -lt 100 ]; sleep .1; done"
    if script == SERVE:
        mctl.shell(ready.format(pid=mctl.properties(name)["MainPID"]))


def check_all_ways(mctl: Mctl) -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        assert ask(mctl, address, 8080) == "hello from web"
        assert ask(mctl, address, 8080, "host") == "hello from web"
    assert ask(mctl, "127.0.0.1", 8080, "host") == "hello from web"
    assert mctl.machine.run(["python3", "-c", BY_NAME]).text == "refused\n"
    script = "nc -w 2 192.0.2.1 8080 </dev/null"
    assert mctl.run("sh", "-c", script, options=["--rm", "-q"]).text == "hello from web\n"
    assert mctl("exec", "web", "sh", "-c", script).text == "hello from web\n"  # by way of the host to itself
    assert ask(mctl, "192.0.2.1", 80) == ""


@pytest.mark.nspawn
@pytest.mark.allow_journal(KILLED)
def test_a_published_port_whatever_becomes_of_the_service(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "8080:80")
    check_all_ways(mctl)
    mctl.kill_service()
    assert ask(mctl, "192.0.2.1", 8080) == "hello from web"
    mctl("ps")
    check_all_ways(mctl)
    refused = mctl.run("true", options=["--rm", "-p", "8080:80"], check=False)
    assert "port 8080:80/tcp cannot be published: container 'web' has it" in refused.stderr.decode()
    mctl("rm", "-f", "web")
    assert ask(mctl, "192.0.2.1", 8080) == ""
    assert ask(mctl, "127.0.0.1", 8080, "host") == ""
    assert "8080" not in mctl.shell("nft list table inet mctl").text


@pytest.mark.nspawn
@pytest.mark.allow_journal(KILLED)
def test_the_way_out_is_under_the_hosts_address(mctl: Mctl, outside: None) -> None:
    """Outside knows no route to containers: an answer can only have gone to the host's own address."""
    mctl.shell("ip netns exec outside busybox nc -ll -p 7 -e /bin/echo from outside >/dev/null 2>&1 &")
    addresses = ("192.0.2.2", "2001:db8::2")
    mctl.run("sleep", "1000", options=["-d", "--name", "inside"])
    inside = mctl.properties("inside")["MainPID"]
    for address in addresses:
        found = mctl.run("sh", "-c", f"nc -w 3 {address} 7 </dev/null", options=["--rm", "-q"])
        assert found.text == "from outside\n"
    mctl.kill_service()
    for address in addresses:  # nobody is asked to execute anything: the service may not be there yet
        ask_out = f"nsenter -t {inside} -n busybox timeout 20 busybox nc -w 3 {address} 7 </dev/null"
        assert mctl.shell(ask_out).text == "from outside\n"


ECHO = """
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as served:
    served.bind(("::", 53))
    while True:
        data, sender = served.recvfrom(100)
        served.sendto(b"hello " + data, sender)
"""
SAY = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as client:
    client.settimeout(float(sys.argv[3]))
    client.connect((sys.argv[1], int(sys.argv[2])))
    try:
        client.send(b"outside")
        print(client.recv(100).decode())
    except (TimeoutError, ConnectionRefusedError):
        print("nothing")
"""


def test_a_port_of_datagrams(mctl: Mctl, outside: None) -> None:
    """By a program in the container's network: its own busybox has no server of datagrams."""
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "-p", "5353:53/udp", "-p", "127.0.0.1:5354:53/udp"])
    server = f"nsenter -t {mctl.properties('web')['MainPID']} -n python3 -c '{ECHO}'"
    mctl.shell(f"{server} >/dev/null 2>&1 & echo $! >/run/echo")
    mctl.until(f"nsenter -t {mctl.properties('web')['MainPID']} -n ss -Hulpn sport = :53 | grep -q .")

    def said(address: str, port: int, *, patience: int = 20, where: str = "ip netns exec outside") -> str:
        return mctl.shell(f"{where} python3 -c '{SAY}' {address} {port} {patience}").text.strip()

    for address in ("192.0.2.1", "2001:db8::1"):
        assert said(address, 5353) == said(address, 5353, where="") == "hello outside"
    assert said("127.0.0.1", 5354, where="") == "hello outside"
    assert said("192.0.2.1", 5354, patience=2) == "nothing"
    mctl.shell("kill $(cat /run/echo); rm /run/echo")


@pytest.mark.allow_journal(KILLED)
def test_ports_of_a_container_that_runs(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "8080:80")
    assert mctl("port", "-p", "8081:80", "web").text == "80/tcp -> 0.0.0.0:8080\n80/tcp -> 0.0.0.0:8081\n"
    assert [ask(mctl, "192.0.2.1", port) for port in (8080, 8081)] == ["hello from web"] * 2
    mctl.kill_service()
    assert mctl("port", "--unpublish", "8080", "-p", "192.0.2.1:8082:80", "web").text.splitlines() == [
        "80/tcp -> 0.0.0.0:8081", "80/tcp -> 192.0.2.1:8082"
    ]  # fmt: skip
    assert [ask(mctl, "192.0.2.1", port) for port in (8080, 8081, 8082)] == ["", "hello from web", "hello from web"]
    mctl.run("true", options=["--rm", "-p", "8080:80"])
    for words, sentence in (
        (["-p", "8081:81"], "8081:80/tcp and 8081:81/tcp overlap"),
        (["--unpublish", "9"], "9/tcp: it is not published"),
        (["-p", "8083:80/udp", "-p", "8082:80"], "overlap"),
    ):
        refused = mctl("port", *words, "web", check=False)
        assert sentence in refused.stderr.decode()
    assert len(mctl("port", "web").text.splitlines()) == 2


def test_a_port_of_the_loopback_alone(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "127.0.0.1:8080:80")
    assert ask(mctl, "127.0.0.1", 8080, "host") == "hello from web"
    assert ask(mctl, "192.0.2.1", 8080, "host") == ""
    mctl.shell("ip -n outside route add 127.0.0.1 via 192.0.2.1 table 9; ip -n outside rule add pref 0 lookup 9")
    for address in ("192.0.2.1", "127.0.0.1"):  # also by a route that leads a neighbour's packets here
        assert ask(mctl, address, 8080) == ""
    assert mctl("exec", "web", "sh", "-c", "nc -w 2 192.0.2.1 8080 </dev/null", check=False).text == ""


def test_a_range(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "9000-9002:79-81")
    assert [ask(mctl, "192.0.2.1", port) for port in (9000, 9001, 9002)] == ["", "hello from web", ""]


def test_a_port_that_the_service_chooses(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "80")
    ((protocol, address, host, container, count),) = mctl.properties("web")["Ports"]
    assert (protocol, address, container, count) == ("tcp", "", 80, 1)
    assert host >= 1024
    assert ask(mctl, "192.0.2.1", host) == "hello from web"


@pytest.mark.allow_journal(MENDED)
def test_rules_that_somebody_flushed_come_back(mctl: Mctl, outside: None) -> None:
    serve(mctl, "web", "-p", "8080:80")
    mctl.shell("nft add table inet theirs; nft flush ruleset")
    mctl.shell("i=0; until nft list table inet mctl >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 50 ]; sleep .1; done")
    check_all_ways(mctl)


@pytest.mark.allow_journal(OPENED)
def test_forwarding_that_somebody_has_switched_off_comes_back(mctl: Mctl, outside: None) -> None:
    """As `sysctl --system` does, with what stood in files before there were containers."""
    serve(mctl, "web", "-p", "8080:80")
    for name, address in (("ipv4.ip_forward", "192.0.2.1"), ("ipv6.conf.all.forwarding", "2001:db8::1")):
        mctl.shell(f"sysctl -q -w net.{name}=0")
        mctl.shell(f"i=0; until [ $(sysctl -n net.{name}) = 1 ]; do i=$((i+1)); [ $i -lt 300 ]; sleep .1; done")
        assert ask(mctl, address, 8080) == "hello from web"


@pytest.mark.parametrize("listen", ["0.0.0.0", "127.0.0.1"])
def test_a_port_of_the_hosts_is_refused_and_nothing_is_left(mctl: Mctl, listen: str) -> None:
    code = f"import socket, time; s = socket.create_server(('{listen}', 8080)); time.sleep(60)"
    mctl.shell(f'python3 -c "{code}" >/dev/null 2>&1 & echo $! >/run/listener')
    mctl.until("ss -ltnH 'sport = :8080' | grep .")
    refused = mctl.run("true", options=["-p", "8080:80"], check=False)
    mctl.shell("kill $(cat /run/listener); rm /run/listener")
    assert refused.returncode == 125
    assert "port 8080/tcp cannot be published: a process of the host has it" in refused.stderr.decode()
    assert mctl("ps", "-a", "-q").text == ""
    mctl.run("true", options=["--rm", "-p", "8080:80"])


def test_a_host_process_cannot_take_a_published_port(mctl: Mctl) -> None:
    mctl.run("sleep", "100", options=["-d", "--name", "web", "-p", "8080:80"])
    taken = mctl.shell("busybox timeout 1 busybox nc -l -p 8080 </dev/null", check=False)
    assert "in use" in taken.stderr.decode()


def test_users_may_publish_but_not_below_1024(mctl: Mctl, alice_may_create: None) -> None:
    mctl("run", "--rm", "-p", "8080:80", "/srv/alice", "true", user="alice")
    refused = mctl("run", "--rm", "-p", "80:80", "/srv/alice", "true", user="alice", check=False)
    assert refused.returncode == 125
    assert "create-privileged" in refused.stderr.decode()


def test_others_names_are_not_told(mctl: Mctl, alice_may_create: None) -> None:
    mctl.run("sleep", "100", options=["-d", "--name", "secret", "-p", "8080:80"])
    refused = mctl("run", "--rm", "-p", "8080:80", "/srv/alice", "true", user="alice", check=False)
    assert "another user's container has it" in refused.stderr.decode()
    assert b"secret" not in refused.stderr


def test_removal_of_the_package_leaves_the_host_as_it_was(mctl: Mctl) -> None:
    mctl.run("true", options=["--rm", "-p", "8080:80"])
    mctl.shell("systemctl stop mctld.service; /usr/libexec/mctld --take-down-networks")
    assert "mctl" not in mctl.shell("ip link; nft list tables").text
    assert mctl.shell("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding").text == "0\n0\n"
    mctl.run("true", options=["--rm"])
