# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list of images leaves out, and how much of one is nobody else's; what a build knows without being told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl.building.containerfile import instructions
from mctl.building.stage import Stage
from mctl.commands import images
from mctl.failures import UsageError
from mctl.images import own_size, steps
from mctl.parser import Arguments

if TYPE_CHECKING:
    from mctl.client import Client


def image(number: int, history: list[str], layers: list[str], *names: str, owner: int = 0) -> dict[str, Any]:
    configuration = json.dumps({"history": [{"created_by": text} for text in history]})
    return {
        "Id": f"sha256:{number}", "Names": list(names), "OwnerUID": owner, "Configuration": configuration,
        "Layers": layers, "LayerSizes": [10 ** int(layer) for layer in layers],
    }  # fmt: skip


def test_steps_of_a_build_are_no_images_of_their_own() -> None:
    base = image(1, ["import"], ["0"], "debian:13")
    step, last = image(2, ["import", "RUN a"], ["0", "1"]), image(3, ["import", "RUN a", "CMD b"], ["0", "1"], "web:1")
    other = image(4, ["import", "RUN c"], ["0", "2"])  # nothing goes on from it
    hers = image(5, ["import", "RUN a"], ["0", "1"], owner=1000)
    silent = image(6, [], ["0"])
    assert steps([base, step, last, other, hers, silent]) == [step]
    changed = image(7, ["import", "RUN a"], ["0", "3"])  # the same words, other files
    assert steps([changed, last]) == []


def test_bytes_of_an_image_alone() -> None:
    web, base = image(1, [], ["0", "1", "1"], "web:1"), image(2, [], ["0"], "debian:13")
    assert own_size(web, [web, base]) == 10
    assert own_size(base, [web, base]) == 0
    assert own_size(web, [web, image(1, [], ["0", "1"], owner=1000)]) == 11  # the same image is no other one


def test_images_with_a_name_and_without(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    known = [image(1, ["a"], ["0"], "debian:13"), image(2, ["b"], ["1"])]
    known = [{**each, "ImportTimestamp": each["Id"]} for each in known]
    monkeypatch.setattr(images, "_listed", lambda *_: list(known))

    def shown(**options: object) -> list[str]:
        images.run(Arguments({"quiet": True, **options}, []), cast("Client", None))
        return capfd.readouterr().out.split()

    assert shown() == ["2", "1"]
    assert shown(filter=images.dangling("-f", "dangling=true")) == ["2"]
    assert shown(filter=images.dangling("-f", "dangling=false")) == ["1"]
    for text in ("dangling", "dangling=perhaps", "color=red", ""):
        with pytest.raises(UsageError, match="-f"):
            images.dangling("-f", text)


def test_a_path_before_the_usual_one_where_the_base_has_none() -> None:
    stage = Stage(None, {}, {}, "\\")
    for each in instructions("FROM x\nENV PATH=/opt/bin:$PATH\n")[0][1:]:
        stage.take(each)
    assert stage.seen()["PATH"] == "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert stage.pending["Environment"][1] == [f"PATH={stage.seen()['PATH']}"]
