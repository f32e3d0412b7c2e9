# SPDX-License-Identifier: GPL-3.0-or-later
"""What FROM names, for one who may not see other users' images: fetched, or missing in words; no password is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mctl.building.service import Service
from mctl.failures import FREEDESKTOP, NEEDS_PASSWORD, Failure


class Answers:
    """In place of a client and of what was typed: the image is there once it has been fetched."""

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.fetched: list[str] = []

    def get(self, _name: str, default: str) -> str:
        return default

    def send(self, _call: object) -> None:
        pass

    def result(self, _call: object, *, ask: bool) -> tuple[str]:
        assert not ask
        raise Failure("refused", status=125, name=self.refusal)

    def manager(self, _member: str, _signature: str, name: str) -> tuple[str]:
        assert self.fetched == [name]
        return ("/org/mctl1/image/one",)

    def call(self, _call: object) -> list[Any]:
        return [{"Id": ("s", "sha256:one"), "Layers": ("as", []), "Configuration": ("s", json.dumps({}))}]


@pytest.mark.parametrize("refusal", [FREEDESKTOP + "AccessDenied", NEEDS_PASSWORD, "org.mctl1.Error.NoSuchImage"])
def test_a_base_that_is_not_there(refusal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Any = Answers(refusal)
    monkeypatch.setattr(Service, "_fetch", lambda _, name: answers.fetched.append(name))
    service = Service(answers, answers, {}, None)
    assert service.base("example.org/one").id == "sha256:one"
    with pytest.raises(
        Failure, match=r"name its registry too, as in docker\.io/library/one; where none can be reached"
    ) as of:
        service.base("one")
    assert (of.value.status, answers.fetched) == (125, ["example.org/one"])


def test_what_goes_wrong_otherwise_is_not_hidden() -> None:
    answers: Any = Answers(FREEDESKTOP + "LimitsExceeded")
    with pytest.raises(Failure, match=r"^refused$"):
        Service(answers, answers, {}, None).base("example.org/one")
