# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports of sctp, with real associations: only where the kernel has the protocol, as Debian's has in qemu."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .test_publishing import outside  # noqa: F401 (a fixture)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

# One-to-one style, RFC 6458 section 4. An association that nobody answers is given up after a while.
ASK = """
import socket, sys
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as client:
    client.settimeout(int(sys.argv[2]))
    try:
        client.connect((address, 8080))
        print(client.recv(100).decode())
    except OSError as error:
        print(type(error).__name__)
"""
ANSWER = """
import socket, threading
def serve(family):
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(("", 80))
        server.listen()
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(b"hello by sctp")
threads = [threading.Thread(target=serve, args=[each]) for each in (socket.AF_INET, socket.AF_INET6)]
for thread in threads:
    thread.start()
"""
LISTENS = "i=0; until [ $(grep -c ' 80 ' /proc/{}/net/sctp/eps) = 2 ]; do i=$((i+1)); [ $i -lt 300 ]; sleep .1; done"


@pytest.fixture
def sctp(mctl: Mctl) -> Iterator[None]:
    if mctl.shell("modprobe sctp", check=False).returncode:
        pytest.skip("this kernel has no sctp")
    yield
    mctl.shell("xargs -r kill </run/sctp-server; rm -f /run/sctp-server")


def ask(mctl: Mctl, address: str, *where: str, seconds: int = 30) -> str:
    return mctl.machine.run([*where, "python3", "-c", ASK, address, str(seconds)], timeout=90).text.strip()


@pytest.mark.qemu
@pytest.mark.usefixtures("outside", "sctp")
def test_a_published_port_of_sctp(mctl: Mctl) -> None:
    """The server is the machine's Python in the container's network: busybox does not speak it."""
    mctl.run("sleep", "1000", options=["-d", "--name", "web", "-p", "8080:80/sctp"])
    pid = mctl.properties("web")["MainPID"]
    server = f"nsenter -t {pid} -n python3 -c '{ANSWER}'"
    mctl.shell(f"{server} </dev/null >/dev/null 2>&1 & echo $! >/run/sctp-server")
    mctl.shell(LISTENS.format(pid))
    for address in ("192.0.2.1", "2001:db8::1"):
        assert ask(mctl, address, "ip", "netns", "exec", "outside") == "hello by sctp"
        assert ask(mctl, address) == "hello by sctp"
    refused = mctl.run("true", options=["--rm", "-p", "8080:80/sctp"], check=False)
    assert "port 8080:80/sctp cannot be published: container 'web' has it" in refused.stderr.decode()
    mctl.run("true", options=["--rm", "-p", "8080:80"])
    mctl("port", "--unpublish", "8080/sctp", "web")
    assert ask(mctl, "192.0.2.1", "ip", "netns", "exec", "outside", seconds=5).endswith("Error")
