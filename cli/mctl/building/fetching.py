# SPDX-License-Identifier: GPL-3.0-or-later
"""ADD of a URL: fetched for the build as its caller would fetch it, but never with root's rights.

A process of its own asks, for it parses what strangers send: in root's build it is nobody's, like apt's downloads.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import posixpath
import re
import signal
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

SIZE_MAX = 16 << 30
PATIENCE = 60.0  # seconds in which a server has to send something
REDIRECTS_MAX = 5
PIECE = 1 << 20
NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
ANSWER_MAX = 64 << 10
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


class FetchError(Exception):
    """In words."""


class Fetched:
    """A file that has come. modified: in seconds since 1970, or 0 where the server does not say."""

    __slots__ = ("file", "modified", "size")

    def __init__(self, file: IO[bytes], size: int, modified: int) -> None:
        self.file = file
        self.size = size
        self.modified = modified


class _Redirects(HTTPRedirectHandler):
    max_redirections = REDIRECTS_MAX

    def redirect_request(self, req: Request, *rest: Any) -> Request | None:
        """What was asked for over TLS comes over TLS."""
        url = rest[-1]
        if req.type == "https" and urlsplit(url).scheme != "https":
            raise FetchError(f"the server sends to {url[:200]!r}, which is not https")
        return super().redirect_request(req, *rest)


def is_git(url: str) -> bool:
    """As docker tells a repository from a file."""
    return not url.lower().startswith(("http://", "https://")) or urlsplit(url).path.endswith(".git")


def name_of(url: str) -> str:
    """What the file is called where it goes into a directory."""
    name = posixpath.basename(unquote(urlsplit(url).path))
    if name in ("", ".", "..") or "\0" in name:
        raise FetchError("the URL ends with no name of a file: say where it goes, without a slash at the end")
    return name


def fetch(url: str, checksum: str = "") -> Fetched:
    """checksum: sha256:DIGEST of what is wanted, or empty."""
    if checksum and not _CHECKSUM.fullmatch(checksum):
        raise FetchError(f"--checksum={checksum} is not sha256: and 64 hexadecimal digits")
    if "@" in urlsplit(url).netloc:
        raise FetchError("a URL with a user in it is not offered: let a RUN fetch it, with --mount=type=secret")
    file = TemporaryFile()  # noqa: SIM115 (lives as long as the layer is made)
    found = _apart(url, file)
    if checksum and checksum != f"sha256:{found['digest']}":
        raise FetchError(f"it is not what --checksum says, but sha256:{found['digest']}")
    return Fetched(file, found["size"], found["modified"])


def _apart(url: str, file: IO[bytes]) -> dict[str, Any]:
    """By a process without rights, which writes into the file; what it found."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        os.close(reading)
        _child(url, file, writing)
    os.close(writing)
    with open(reading, "rb") as answer:
        try:
            text = answer.read(ANSWER_MAX)
        except BaseException:  # interrupted
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.waitpid(pid, 0)
    if not text:
        raise FetchError("the process that fetches was killed")
    found: dict[str, Any] = json.loads(text)
    if "wrong" in found:
        raise FetchError(found["wrong"])
    return found


def _child(url: str, file: IO[bytes], answer: int) -> None:
    """Never returns."""
    try:
        _resign()
        os.write(answer, json.dumps(_received(url, file)).encode())
    except BaseException as error:  # a fork must not go on as its parent does
        os.write(answer, json.dumps({"wrong": _in_words(error)[:1000]}).encode())
    finally:
        os._exit(0)


def _resign() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # prctl(2): other ids have cleared it


def _received(url: str, file: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    request = Request(url, headers={"User-Agent": "mctl", "Accept-Encoding": "identity"})
    with _opener().open(request, timeout=PATIENCE) as response:
        promised = response.headers.get("Content-Length", "")
        while piece := response.read(PIECE):
            size += len(piece)
            if size > SIZE_MAX:
                raise FetchError(f"it has more than {SIZE_MAX} bytes")
            digest.update(piece)
            file.write(piece)
        file.flush()
        if promised.isascii() and promised.isdigit() and int(promised) != size:  # read() with a size does not tell
            raise FetchError(f"it was cut off after {size} of {promised} bytes")
        modified = _modified(response.headers.get("Last-Modified"))
    return {"size": size, "digest": digest.hexdigest(), "modified": modified}


def _opener() -> OpenerDirector:
    """HTTP and HTTPS alone: not file:, ftp: and data:, which urllib.request would know too."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor, _Redirects):
        opener.add_handler(handler())
    return opener


def _modified(text: str | None) -> int:
    try:
        return max(int(parsedate_to_datetime(text).timestamp()), 0) if text else 0
    except (ValueError, OverflowError):
        return 0


def _in_words(error: BaseException) -> str:
    if isinstance(error, FetchError):
        return str(error)
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    if isinstance(error, HTTPException):
        return f"the server's answer breaks off, or is not HTTP: {error!r}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) or type(error).__name__
