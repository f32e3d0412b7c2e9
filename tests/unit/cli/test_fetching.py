# SPDX-License-Identifier: GPL-3.0-or-later
"""ADD of a URL: what servers answer, what is refused, and whose rights the process has that asks."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request

import pytest

from mctl.building import fetching
from mctl.building.fetching import FetchError, fetch, is_git, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = b"what was asked for\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()
WHEN = "Mon, 02 Jan 2006 15:04:05 GMT"


class Handler(BaseHTTPRequestHandler):
    asking: list[int] = []  # noqa: RUF012 (the test's own)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asking.append(owner(self.client_address[1]))
        place = self.path.strip("/")
        if place == "from":
            self.answer(302, Location="/file")
        elif place.startswith("round"):
            self.answer(302, Location=self.path + "x")
        elif place == "out":
            self.answer(302, Location="file:///etc/passwd")
        elif place == "short":
            self.answer(200, TEXT, Content_Length=str(len(TEXT) + 5))
        elif place == "chunks":
            self.answer(200, b"5\r\nwhat \r\n", Transfer_Encoding="chunked")  # and no end
        elif place == "silent":
            time.sleep(10)
        elif place == "file":
            self.answer(200, TEXT, Content_Length=str(len(TEXT)), Last_Modified=WHEN)
        else:
            self.answer(404)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def owner(port: int) -> int:
    """Of the socket that has this port: proc_net_tcp(5)."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port:
            return int(words[7])
    return -1


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.asking.clear()
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_a_file_its_size_and_its_time(server: str) -> None:
    for url in (f"{server}/file", f"{server}/from"):
        found = fetch(url, f"sha256:{DIGEST}")
        found.file.seek(0)
        assert (found.file.read(), found.size, found.modified) == (TEXT, len(TEXT), 1136214245)


def test_who_asks_has_no_rights_of_roots(server: str) -> None:
    fetch(f"{server}/file")
    assert Handler.asking == [os.geteuid() or 65534]


@pytest.mark.parametrize(("path", "complaint"), [
    ("none", "the server answers 404 Not Found"),
    ("round", "would lead to an infinite loop"),
    ("out", "not allowed"),
    ("short", "it was cut off after 19 of 24 bytes"),
    ("chunks", "the server's answer breaks off"),
])  # fmt: skip
def test_what_servers_do_to_one(server: str, path: str, complaint: str) -> None:
    with pytest.raises(FetchError, match=complaint):
        fetch(f"{server}/{path}")
    assert len(Handler.asking) <= 1 + fetching.REDIRECTS_MAX


def test_one_that_sends_nothing_or_too_much(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    with pytest.raises(FetchError, match="timed out"):
        fetch(f"{server}/silent")
    monkeypatch.setattr(fetching, "PATIENCE", 60.0)
    monkeypatch.setattr(fetching, "SIZE_MAX", len(TEXT) - 1)
    with pytest.raises(FetchError, match=f"it has more than {len(TEXT) - 1} bytes"):
        fetch(f"{server}/file")


def test_digests(server: str) -> None:
    with pytest.raises(FetchError, match=f"not what --checksum says, but sha256:{DIGEST}"):
        fetch(f"{server}/file", "sha256:" + "0" * 64)
    for wrong in ("0" * 64, "sha256:1", "sha512:" + "0" * 64):
        with pytest.raises(FetchError, match="64 hexadecimal digits"):
            fetch(f"{server}/file", wrong)


def test_what_is_never_asked_for() -> None:
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"):
        with pytest.raises(FetchError):
            fetch(url)
    with pytest.raises(FetchError, match="with a user in it"):
        fetch("https://me:secret@127.0.0.1/x")
    over_tls = Request("https://127.0.0.1/x")
    with pytest.raises(FetchError, match=r"sends to 'http://127\.0\.0\.1/x', which is not https"):
        fetching._Redirects().redirect_request(over_tls, None, 302, "", None, "http://127.0.0.1/x")


def test_names() -> None:
    assert name_of("https://example.org/a/b%20c.tar.gz?x=/y#z") == "b c.tar.gz"
    for url in ("https://example.org", "https://example.org/a/", "https://example.org/a/..", "https://example.org/%2e"):
        with pytest.raises(FetchError, match="no name of a file"):
            name_of(url)
    found = [
        is_git(u) for u in ("git@a:b", "ssh://a/b", "git://a/b", "https://a/b.git", "https://a/b.git?x", "http://a/b")
    ]
    assert found == [True, True, True, True, True, False]
