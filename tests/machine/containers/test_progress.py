# SPDX-License-Identifier: GPL-3.0-or-later
"""How far each layer of a pull has come: as a property of its Job, on a terminal, and at the end without one."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from .test_registry import HOSTILE, hostile, nothing_left
from .test_reuse import ASK, Blob, base, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Mctl

__all__ = ["base", "hostile", "serving"]
PATIENCE = 120  # seconds
TYPESCRIPT = "/srv/typescript"
NAME = f"{HOSTILE}/half"
PULL = f"mctl pull --tls-verify=false {NAME}"


def until(found: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not fits(there := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return there


def seen(mctl: Mctl, job: str) -> list[list[Any]]:
    found = mctl.shell(f"busctl --json=short get-property org.mctl1 {job} org.mctl1.Job LayerProgress").stdout
    return list(json.loads(found)["data"])


@pytest.mark.parametrize("what", ["a first image", "others are here"])
def test_each_layer_is_told_of(serving: Mctl, base: Blob, what: str) -> None:
    """The registry stops in the middle of the first one, and has sent the second."""
    if what == "others are here":
        serving("import", "--busybox")
    half = base.size // 2
    asked = serving.shell(f"touch /srv/stall; {ASK} {NAME} 1 VerifyTLS b false 0").stdout
    (job,) = json.loads(asked)["data"]
    serving.shell(f"systemd-run -q --unit=test-pull script -qfec '{PULL}' {TYPESCRIPT}")  # which waits for the same
    first, second = until(
        lambda: seen(serving, job),
        lambda them: len(them) == 2 and abs(them[0][1] - half) < 200 and them[1][3] == "fetched",
    )
    assert (first[0], first[2], first[3]) == (f"sha256:{base.digits}", base.size, "fetching")
    assert abs(first[1] - half) < 200  # as skopeo rounds it for people
    assert second[1] == second[2] > 0
    drawn = until(lambda: serving.shell(f"cat {TYPESCRIPT}").text, lambda text: "fetched" in text and " KiB of" in text)
    assert f"{base.digits[:12]}  fetching   {half / 1024:.1f} KiB of {base.size / 1024:.1f} KiB" in drawn
    assert f"{second[0][7:19]}  fetched    {second[2]} B" in drawn
    serving.shell("rm /srv/stall")
    done = until(lambda: seen(serving, job), lambda them: [state for *_, state in them] == ["done", "done"])
    assert [(digest, count) for digest, count, *_ in done] == [(first[0], first[2]), (second[0], second[2])]
    serving.shell("while systemctl is-active -q test-pull; do sleep 0.1; done", timeout=PATIENCE)
    assert f"{NAME}: 2 layers fetched, " in serving.shell(f"cat {TYPESCRIPT}; rm {TYPESCRIPT}").text
    nothing_left(serving)


def test_one_line_where_there_is_no_terminal(serving: Mctl, base: Blob) -> None:
    del base
    first, again = (serving("pull", "--tls-verify=false", NAME, timeout=PATIENCE) for _ in range(2))
    assert (first.stderr.count(b"\n"), f"{NAME}: 2 layers fetched, ".encode() in first.stderr) == (1, True)
    assert (again.stdout, again.stderr) == (first.stdout, b"")
    serving("rmi", NAME)
    assert serving("pull", "-q", "--tls-verify=false", NAME, timeout=PATIENCE).stderr == b""
    nothing_left(serving)
