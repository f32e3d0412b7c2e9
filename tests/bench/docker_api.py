# SPDX-License-Identifier: GPL-3.0-or-later
"""A blocking client of the Docker Engine API on its socket: what a start costs without the docker command."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.command import FailedError
from bench.peer import TRUE

SOCKET = "/run/docker.sock"
PREFIX = "/v1.41"  # spoken by Debian 12's and 13's
SECONDS = 120.0


class DockerApi:
    """One connection, kept alive."""

    def __init__(self, image: str, network: str) -> None:
        self._image = image
        self._network = network
        self._connection = UnixConnection()

    def __enter__(self) -> DockerApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def start(self) -> str:
        """Two calls, as the API wants it: create, start."""
        host = {"NetworkMode": self._network, "AutoRemove": True}
        wish = {"Image": self._image, "Cmd": list(TRUE), "HostConfig": host}
        identity = str(self._post("/containers/create", wish)["Id"])
        self._post(f"/containers/{identity}/start")
        return identity

    def start_all(self, count: int) -> list[str]:
        """A connection and a thread each: HTTP/1.1 has no calls side by side."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self._start_alone(), range(count)))

    def wait(self, identity: str) -> None:
        try:
            self._post(f"/containers/{identity}/wait")
        except FailedError as failure:
            if not str(failure).startswith("404 "):  # it has ended and removed itself
                raise

    def _start_alone(self) -> str:
        with DockerApi(self._image, self._network) as another:
            return another.start()

    def _post(self, path: str, wish: dict[str, Any] | None = None) -> dict[str, Any]:
        body = json.dumps(wish) if wish else None
        self._connection.request("POST", PREFIX + path, body, {"Content-Type": "application/json"} if wish else {})
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise FailedError(f"{response.status} {path}: {text.decode(errors='replace')[:300]}")
        return json.loads(text) if text else {}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("localhost", timeout=SECONDS)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(SOCKET)
