# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list of images leaves out, and how much of one is nobody else's; what a build knows without being told."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl.building.containerfile import instructions
from mctl.building.stage import Stage
from mctl.commands import image_check, images, save
from mctl.destination import put_archive
from mctl.failures import UsageError
from mctl.images import own_size, steps
from mctl.parser import Arguments

if TYPE_CHECKING:
    from pathlib import Path

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
    assert shown(filter=[images.choice("-f", "dangling=true")]) == ["2"]
    assert shown(filter=[images.choice("-f", "dangling=false")]) == ["1"]
    for text in ("dangling", "dangling=perhaps", "color=red", "", "reference=", "label"):
        with pytest.raises(UsageError, match="-f"):
            images.choice("-f", text)


def test_images_chosen_by_names_and_labels() -> None:
    """As docker's and podman's patterns: with or without tag and registry."""
    known = [
        {**image(1, ["a"], ["0"], "docker.io/library/nginx:1.27"), "Labels": {"of": "web", "x": ""}},
        {**image(2, ["b"], ["1"], "localhost:5000/team/web:1", "web:latest"), "Labels": {"of": "shop"}},
        {**image(3, ["c"], ["2"]), "Labels": {}},
    ]

    def found(*texts: str) -> list[object]:
        return [each["Id"] for each in images.chosen(known, [images.choice("-f", text) for text in texts])]

    one, two, three = (each["Id"] for each in known)
    assert found() == [one, two, three]
    for text in ("nginx", "nginx:1.27", "ngi*", "*:1.27", "library/nginx", "docker.io/library/nginx", "docker.io/*"):
        assert found(f"reference={text}") == [one], text
    assert (found("reference=web"), found("reference=web:1"), found("reference=web:2")) == ([two], [two], [])
    assert (found("label=of"), found("label=of=web"), found("label=x")) == ([one, two], [one], [one])
    assert found("label=y") == found("label=x=y") == []
    assert found("reference=web", "reference=nginx") == [one, two]
    assert found("reference=web", "label=of=web", "dangling=false") == []


def test_a_path_before_the_usual_one_where_the_base_has_none() -> None:
    stage = Stage(None, {}, {}, "\\")
    for each in instructions("FROM x\nENV PATH=/opt/bin:$PATH\n")[0][1:]:
        stage.take(each)
    assert stage.seen()["PATH"] == "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert stage.pending["Environment"][1] == [f"PATH={stage.seen()['PATH']}"]


def test_a_history_has_words_as_a_containerfile_has_them() -> None:
    stage = Stage(None, {}, {}, "\\")
    text = 'FROM x\nSHELL ["/bin/ash", "-c"]\nVOLUME /d /e\nENTRYPOINT ["say"]\nCMD ["it\'s", "\u00e4"]\n'
    for each in instructions(text)[0][1:]:
        stage.take(each)
    assert stage.told == [
        'SHELL ["/bin/ash", "-c"]', 'VOLUME ["/d", "/e"]', 'ENTRYPOINT ["say"]', 'CMD ["it\'s", "\u00e4"]',
    ]  # fmt: skip


def test_an_archive_for_podmans_words(tmp_path: Path) -> None:
    assert [save.form("--format", name) for name in save.FORMATS] == ["oci-archive", "docker-archive"]
    with pytest.raises(UsageError, match="--format 'oci-dir' is not offered: the archive is oci-archive and docker-ar"):
        save.form("--format", "oci-dir")
    with pytest.raises(UsageError, match=f"cannot write to '{tmp_path}/none/file': No such file"):
        put_archive(f"{tmp_path}/none/file", lambda _: None)


def test_each_image_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are called alike only one is found by the name, one's own."""
    alike = [image(1, [], ["0"], "web:1", owner=1000), image(2, [], ["1"], "web:1"), image(3, [], ["2"])]
    wrapped = [{key: ("", value) for key, value in each.items()} for each in alike]
    client = cast("Client", SimpleNamespace(manager=lambda *_: [wrapped]))
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert sorted(image_check.names(client)) == ["sha256:1", "sha256:3", "web:1"]
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert sorted(image_check.names(client)) == ["sha256:2", "sha256:3", "web:1"]
