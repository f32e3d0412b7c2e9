# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images, what they say, and where they and their layers are kept."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld import catalog as catalog_module
from mctld.bus.making import completed, configuration_maker
from mctld.configuration import Configuration, signal_number
from mctld.encoding import decode, encode
from mctld.errors import BadImage, InvalidArgs, LimitReached, NoSuchImage
from mctld.health import HealthCheck
from mctld.ids import Ids
from mctld.image import Image, ImageRoot, Layer, digest_of
from mctld.images.layers import Layers
from mctld.images.refusal import Refusal
from mctld.images.skeleton import Writer
from mctld.lifecycle.committing import new_image
from mctld.reference import Reference, beginning_of_id
from mctld.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mctld.spec import Spec

LAYERS = [Layer(f"sha256:{digit * 64}", 1000, 3, has_root=digit == "1") for digit in "0123"]


@pytest.mark.parametrize(("text", "repository", "tag"), [
    ("busybox", "busybox", "latest"),
    ("busybox:1.36", "busybox", "1.36"),
    ("example.org:5000/team/web_app:V-1.2_x", "example.org:5000/team/web_app", "V-1.2_x"),
    ("localhost/a/b-c/d__e", "localhost/a/b-c/d__e", "latest"),
    ("[::1]:5000/x", "[::1]:5000/x", "latest"),
    ("a--b.c", "a--b.c", "latest"),
    ("docker.io/nginx", "docker.io/library/nginx", "latest"),
    ("index.docker.io/team/web:1", "docker.io/team/web", "1"),
])  # fmt: skip
def test_references(text: str, repository: str, tag: str) -> None:
    assert Reference.parse(text) == Reference(repository, tag)
    assert Reference.parse(str(Reference.parse(text))) == Reference.parse(text)


@pytest.mark.parametrize(("text", "name"), [
    (f"example.org/web@sha256:{'a' * 64}", f"example.org/web@sha256:{'a' * 64}"),
    (f"docker.io/nginx:1.27@sha256:{'a' * 64}", f"docker.io/library/nginx@sha256:{'a' * 64}"),
    ("web:1", "web:1"),
])  # fmt: skip
def test_names_by_digest(text: str, name: str) -> None:
    found = Reference.parse_any(text)
    assert (str(found), found.is_digest) == (name, "@" in text)
    assert Reference.parse_any(str(found)) == found


@pytest.mark.parametrize("text", ["web@sha256:00", f"web@sha512:{'a' * 64}", f"@sha256:{'a' * 64}", "web@", "web@a@b"])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(InvalidArgs):
        Reference.parse_any(text)


def test_nobody_gives_an_image_a_digest() -> None:
    with pytest.raises(InvalidArgs, match="is not a name of an image"):
        Reference.parse(f"web@sha256:{'a' * 64}")


def test_registries() -> None:
    names = ("nginx", "team/web", "docker.io/nginx", "localhost/x", "localhost:5000/x", "[::1]:5000/x", "a.b/c/d")
    assert [Reference.parse(name).registry for name in names] == [
        "", "", "docker.io", "localhost", "localhost:5000", "[::1]:5000", "a.b",
    ]  # fmt: skip
    assert [str(Reference.parse(name).on_docker_hub) for name in names[:3]] == [
        "docker.io/library/nginx:latest", "docker.io/team/web:latest", "None",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [
    "", ":", "a:", ":b", "A", "a/", "/a", "a//b", "../a", "a/../b", "-a", "a-", "a:b:c", "a b", "a\n", "ä",
    "a@sha256:00", "a:" + "b" * 129, "a" * 256, "a/B", "a_-b", "sha256:" + "0" * 64, "a\0", "http://a/b", ".", "a/.b",
])  # fmt: skip
def test_no_references(text: str) -> None:
    with pytest.raises(InvalidArgs, match="is not a name of an image"):
        Reference.parse(text)


@given(st.text(max_size=40))
def test_what_is_a_reference_can_be_part_of_no_path(text: str) -> None:
    try:
        found = Reference.parse(text)
    except InvalidArgs:
        return
    assert str(found).isascii()
    assert str(found).isprintable()
    assert not {"", ".", ".."} & {*str(found).split("/")}


def test_beginnings_of_ids() -> None:
    assert beginning_of_id("sha256:" + "ab" * 32) == "ab" * 32
    assert beginning_of_id("abcd") == "abcd"
    assert [beginning_of_id(text) for text in ("abc", "ABCD", "xyza", "a" * 65, "abcd/")] == [None] * 5


def document(**config: Any) -> str:
    return json.dumps({"config": config, "rootfs": {"type": "layers", "diff_ids": [LAYERS[0].diff_id]}})


def test_configurations_of_others() -> None:
    """null and absent members, as docker writes them."""
    text = document(Entrypoint=None, Cmd=["sh"], Env=["A=1"], ExposedPorts={"80/tcp": {}}, Volumes={"/data": {}})
    found = Configuration.parse(text)
    assert (found.entrypoint, found.command, found.exposed_ports) == ((), ("sh",), ("80/tcp",))
    assert Configuration.parse("{}").diff_ids == ()


@pytest.mark.parametrize(("text", "words"), [
    ("[]", "is not an object"), ("{", "is not JSON"), ("[" * 100_000, "is not JSON"),
    (document(Cmd="sh"), "Cmd is not"), (document(Cmd=[1]), "Cmd is not a list of texts"),
    (document(Env=["A=\0"]), "NUL"), (document(User="a\nb"), "control"),
    (document(Labels={"a": 1}), "Labels is not"), (document(ExposedPorts={"x": {}}), "ExposedPorts 'x'"),
    (document(Healthcheck={"Test": ["RUN", "x"]}), "Healthcheck Test 'RUN' is not"),
    (document(Healthcheck={"Test": ["CMD-SHELL", "a", "b"]}), "CMD-SHELL with one text"),
    (document(Healthcheck={"Test": ["CMD", "x"], "Retries": -1}), "Retries is not"),
    (document(Healthcheck={"Test": ["CMD", "x"], "Interval": "30s"}), "Interval is not"),
    (document(StopSignal="SIGNOPE"), "SIGNOPE"), (document(Cmd=["x"] * 2000), "too long"), ('{"rootfs": 1}', "rootfs"),
])  # fmt: skip
def test_configurations_that_are_none(text: str, words: str) -> None:
    with pytest.raises(BadImage, match=words):
        Configuration.parse(text)


def test_signals() -> None:
    assert [signal_number(text) for text in ("SIGTERM", "int", "9", "RTMIN+3", "SIGRTMAX-1")] == [15, 2, 9, 37, 63]
    for text in ("", "0", "65", "SIG", "RTMIN+99", "TERM+1", "_DFL", "SIGBLOCK"):
        with pytest.raises(InvalidArgs):
            signal_number(text)


IMAGE = Configuration.parse(
    document(
        Entrypoint=["/entry"], Cmd=["a", "b"], Env=["PATH=/x", "LANG=C"], User="web:web", WorkingDir="/srv",
        StopSignal="SIGINT", Labels={"team": "web", "long": "x" * 5000, "bad": "a\nb"},
    )
)  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), [
    ({}, ["/entry", "a", "b"]),
    ({"Command": ["c"]}, ["/entry", "c"]),
    ({"Entrypoint": ["/other"]}, ["/other"]),
    ({"Entrypoint": ["/other"], "Command": ["c"]}, ["/other", "c"]),
    ({"Entrypoint": [], "Command": ["c"]}, ["c"]),
])  # fmt: skip
def test_entrypoint_and_command_as_docker_has_them(given: dict[str, Any], expected: list[str]) -> None:
    assert completed({"Image": "web", **given}, IMAGE)["Command"] == expected


def test_the_health_check_of_an_image_is_used_part_by_part() -> None:
    shell = {"Test": ["CMD-SHELL", "curl -f /"], "Interval": 5_000_000_000, "Retries": 0}
    image = Configuration.parse(document(Cmd=["x"], Healthcheck=shell))
    assert image.health == HealthCheck(("/bin/sh", "-c", "curl -f /"), interval_usec=5_000_000)
    found = completed({"Image": "web", "HealthRetries": 9}, image)
    assert (found["HealthCommand"], found["HealthIntervalUSec"]) == (["/bin/sh", "-c", "curl -f /"], 5_000_000)
    assert found["HealthRetries"] == 9
    assert completed({"Image": "web", "HealthCommand": []}, image)["HealthCommand"] == []
    nothings: list[dict[str, Any]] = [{}, {"Test": []}, {"Test": ["NONE"]}, {"Test": None, "Interval": 5}]
    for nothing in nothings:
        assert not Configuration.parse(document(Cmd=["x"], Healthcheck=nothing)).health
    exact = Configuration.parse(document(Healthcheck={"Test": ["CMD", "a", "b c"], "Timeout": 2_000_000}))
    assert exact.health == HealthCheck(("a", "b c"), timeout_usec=2_000)


def test_what_an_image_says_holds_where_nothing_else_was_said() -> None:
    found = completed({"Image": "web", "Environment": ["LANG=de", "NEW=1"], "Labels": {"team": "db"}}, IMAGE)
    assert found["Environment"] == ["PATH=/x", "LANG=de", "NEW=1"]
    assert (found["User"], found["WorkingDirectory"], found["StopSignal"]) == ("web:web", "/srv", 2)
    assert found["Labels"] == {"team": "db"}
    given = {"Image": "web", "User": "0", "WorkingDirectory": "/", "StopSignal": 15}
    assert completed(given, IMAGE).items() >= {"User": "0", "WorkingDirectory": "/", "StopSignal": 15}.items()
    with pytest.raises(InvalidArgs, match="says no command"):
        completed({"Image": "web", "Entrypoint": []}, IMAGE)


def test_an_imported_configuration_can_be_read_back() -> None:
    values = {"Command": ["/bin/sh"], "ExposedPorts": ["80/tcp"], "Labels": {"a": "b"}}
    values |= {"Author": "me", "Comment": "why"}
    found = Configuration.parse(configuration_maker(values, 0)(LAYERS[0].diff_id))
    assert (found.command, found.exposed_ports, found.labels) == (("/bin/sh",), ("80/tcp",), (("a", "b"),))
    assert (found.os, found.created, found.author) == ("linux", "1970-01-01T00:00:00Z", "me")
    assert found.history == (("1970-01-01T00:00:00Z", "why", False),)
    with pytest.raises(BadImage, match="StopSignal"):
        configuration_maker({"StopSignal": "x"}, 0)


def image(key: str, owner: int = 0, layers: int = 1, *names: str, shared: bool = True) -> Image:
    configuration = Configuration.parse(document(Cmd=[key]))
    references = tuple(Reference.parse(name) for name in names or (key,))
    identity = digest_of(configuration.text)
    return Image(key, identity, owner, shared, 1, 2, configuration, tuple(LAYERS[:layers]), references)


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 10))


def test_images_are_remembered(open_store: Callable[[], Store]) -> None:
    store = open_store()
    added = store.catalog.add(image("a", 0, 3, "a:2", "a"))
    store.close()
    assert open_store().catalog.all() == (added,)


def test_a_name_is_one_images_of_each_owner(open_store: Callable[[], Store]) -> None:
    catalog = open_store().catalog
    catalog.add(image("a", 0, 1, "web", "web:1"))
    catalog.add(image("b", 1000, 1, "web"))
    catalog.add(image("c", 0, 1, "web"))
    assert [(i.key, *map(str, i.references)) for i in catalog.all()] == [
        ("a", "web:1"), ("b", "web:latest"), ("c", "web:latest"),
    ]  # fmt: skip


def test_the_same_image_again_only_gets_a_name(open_store: Callable[[], Store]) -> None:
    catalog = open_store().catalog
    catalog.add(image("a", 0, 1, "one"))
    again = catalog.add(replace(image("a", 0, 1, "two"), key="other"))
    assert again.key == "a"
    assert [str(r) for r in again.references] == ["one:latest", "two:latest"]
    assert len(catalog.all()) == 1


def test_what_is_brought_in_is_not_made_here(open_store: Callable[[], Store]) -> None:
    """Whatever it says of its own history: a build takes only what was made here for what an earlier one has left."""
    store = open_store()
    loaded = store.catalog.add(image("a", 1000))
    built = store.catalog.add(new_image(Configuration.parse(document(Cmd=["b"])), 1000, (LAYERS[0],), shared=False))
    tagged = store.catalog.add(replace(built, key="c", owner_uid=1001, made_here=False))
    assert [each.made_here for each in (loaded, built, tagged)] == [False, True, False]
    assert store.catalog.add(replace(built, key="d", made_here=False)).made_here  # the very same, loaded again
    before = store.catalog.all()
    store.close()
    assert {each.key: each for each in open_store().catalog.all()} == {each.key: each for each in before}


def test_an_image_has_so_many_names(open_store: Callable[[], Store]) -> None:
    catalog = open_store().catalog
    for owner, most in ((1000, 64), (0, None)):
        key = f"of-{owner}"
        there = catalog.add(image(key, owner, 1, *(f"{key}:{number}" for number in range(64))))
        if most is None:
            assert len(catalog.add(replace(there, references=(Reference(key, "more"),))).references) == 65
            continue
        with pytest.raises(LimitReached, match="would have 65 names, and may have 64: take some away"):
            catalog.add(replace(there, references=(Reference(key, "more"),)))
        assert catalog.add(replace(there, references=there.references[:1])).references == there.references
    with pytest.raises(LimitReached, match="would have 65 names"):
        catalog.add(image("new", 1000, 1, *(f"new:{number}" for number in range(65))))


def test_an_owner_has_so_many_names(open_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_module, "NAMES_OF_OWNER", 3)
    catalog = open_store().catalog
    catalog.add(image("a", 1000, 1, "a:1", "a:2"))
    catalog.add(image("b", 1001, 1, "a:1", "a:2"))
    with pytest.raises(LimitReached, match="user 1000 have 2 names, and may have 3: remove some"):
        catalog.add(image("c", 1000, 1, "c:1", "c:2"))
    catalog.add(image("c", 1000, 1, "c:1"))


def test_a_new_name_is_all_that_is_written(open_store: Callable[[], Store]) -> None:
    store = open_store()
    there = store.catalog.add(image("a", 1000, 1, *(f"a:{number}" for number in range(50))))
    told: list[str] = []
    store._database.set_trace_callback(told.append)
    named = store.catalog.add(replace(there, references=(Reference("a", "new"),)))
    store.catalog.rename(named, there.references)
    store._database.set_trace_callback(None)
    assert sum("INTO image_name" in each for each in told) == 1
    assert sum("DELETE FROM image_name" in each for each in told) == 1
    store.close()
    assert set(open_store().catalog.all()[0].references) == set(there.references)


def test_layers_are_needed_by_images_and_containers(
    open_store: Callable[[], Store], make_spec: Callable[..., Spec]
) -> None:
    store = open_store()
    first, second = store.catalog.add(image("a", 0, 2)), store.catalog.add(image("b", 0, 3))
    spec = make_spec(rootfs=ImageRoot.of(first, "a"))
    record = store.add(identity="1" * 32, owner_uid=0, created_usec=1, spec=spec)
    store.catalog.remove(second)
    assert store.catalog.remove_unneeded([LAYERS[2].diff_id]) == []
    assert store.catalog.remove_unneeded([]) == [LAYERS[2].diff_id]
    store.catalog.remove(first)
    assert store.catalog.remove_unneeded([]) == []
    store.remove(record)
    assert sorted(store.catalog.remove_unneeded([])) == [LAYERS[0].diff_id, LAYERS[1].diff_id]
    assert store.catalog.layers() == ()


def test_a_container_of_layers_that_are_gone_is_not_made(
    open_store: Callable[[], Store], make_spec: Callable[..., Spec]
) -> None:
    store = open_store()
    with pytest.raises(NoSuchImage):
        store.add(
            identity="1" * 32, owner_uid=0, created_usec=1, spec=make_spec(rootfs=ImageRoot.of(image("a", 0, 2), "a"))
        )
    assert store.load() == []


def test_the_root_directory_is_as_the_topmost_layer_that_speaks_of_it_says() -> None:
    assert ImageRoot.of(image("a", 0, 4), "a").root_layer == 1
    assert ImageRoot.of(image("a", 0, 1), "a").root_layer == 0


def test_a_container_of_an_image_as_text(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(rootfs=ImageRoot.of(image("a", 0, 4), "a"))
    assert decode(encode(spec)) == spec


@pytest.mark.parametrize("bad", ["", "sha256:", "sha256:../../etc", "sha512:" + "0" * 64, "sha256:" + "0" * 63 + "/"])
def test_a_digest_is_one_before_it_is_a_path(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InvalidArgs):
        Layers(str(tmp_path)).path(bad)


def test_a_layer_is_whole_or_not_there(tmp_path: Path) -> None:
    layers = Layers(str(tmp_path / "images"))
    layers.prepare()
    digest = f"sha256:{hashlib.sha256(b'archive').hexdigest()}"
    first, second, half = layers.begin(), layers.begin(), layers.begin()
    for made, content in ((first, "first"), (second, "second")):
        place = tmp_path / "images/making" / made.rpartition("/")[2]
        for name in ("tree", "replaced"):
            (place / name).mkdir()
        (place / "tree" / content).touch()
        with (place / "skeleton").open("wb") as file:
            skeleton = Writer(file.write)
            skeleton.raw(b"archive")
            skeleton.close()
        with layers.watch() as watched:
            layers.finish({digest: (made, digest)}, watched)
    assert os.listdir(f"{layers.path(digest)}/tree") == ["first"]
    assert layers.present() == {digest}
    assert sorted(layers.half_made()) == sorted([second, half])
    with open(f"{layers.path(digest)}/skeleton", "r+b") as file:
        genuine = file.read()
        file.seek(0)
        file.truncate()
        skeleton = Writer(file.write)
        skeleton.raw(b"another")
        skeleton.close()
    said = f"what is there .* as the layer {digest} is another one"
    with pytest.raises(Refusal, match=said), layers.watch() as watched:
        layers.finish({digest: (second, digest)}, watched)  # who was there first may have had no right to the name
    with open(f"{layers.path(digest)}/skeleton", "wb") as file:
        file.write(genuine)
    gone = layers.take_out(digest)
    assert (layers.present(), layers.taken_out()) == (set(), [gone])
    assert layers.take_out(digest) not in layers.taken_out()
    assert (layers.bring_back(digest), layers.present()) == (True, {digest})  # a loss of power has undone the removal
    removed = layers.give_up(layers.take_out(digest))
    assert (layers.bring_back(digest), layers.present()) == (False, set())
    assert os.listdir(f"{removed}/tree") == ["first"]
