# SPDX-License-Identifier: GPL-3.0-or-later
"""org.freedesktop.LogControl1: read by everybody, set by root and by whom polkit allows it."""

from __future__ import annotations

import pytest
from dbus_next.signature import Variant

from bus.house import BOB, PROPERTIES, ROOT_UID, House
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus.logcontrol import PATH
from mctld.bus.standard import LOG_CONTROL
from mctld.reporting import LEVELS, TARGETS

ERROR = "org.freedesktop.DBus.Error."
DEBUG = (PATH, PROPERTIES, "Set", "ssv", LOG_CONTROL, "LogLevel", Variant("s", "debug"))


async def test_root_sets_every_level_and_target(house: House) -> None:
    root, bob = await house.client(ROOT_UID), await house.client(BOB)
    for name, values in (("LogLevel", LEVELS), ("LogTarget", TARGETS)):
        for value in values:
            await root.call(PATH, PROPERTIES, "Set", "ssv", LOG_CONTROL, name, Variant("s", value))
            (told,) = await bob.call(PATH, PROPERTIES, "Get", "ss", LOG_CONTROL, name)
            assert told.value == value
    (found,) = await bob.call(PATH, PROPERTIES, "GetAll", "s", LOG_CONTROL)
    assert {name: variant.value for name, variant in found.items()} == {
        "LogLevel": "debug", "LogTarget": "null", "SyslogIdentifier": "mctld",
    }  # fmt: skip
    assert (house.log_control.level, house.log_control.target) == ("debug", "null")
    assert {entry["MCTL_ACTION"] for entry in house.record} == {"org.mctl1.daemon-admin"}


@pytest.mark.parametrize(
    ("verdict", "error"), [(NO, "AccessDenied"), (CHALLENGE, "InteractiveAuthorizationRequired"), (YES, "")]
)
async def test_others_need_polkits_consent(house: House, verdict: tuple[bool, bool], error: str) -> None:
    bob = await house.client(BOB)
    house.polkit.decide = lambda _: verdict
    if error:
        assert (await bob.error(*DEBUG)).name == ERROR + error
    else:
        await bob.call(*DEBUG)
    assert [asked.action for asked in house.polkit.asked] == ["org.mctl1.daemon-admin"]
    assert house.log_control.level == ("info" if error else "debug")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("LogLevel", Variant("s", "loud"), "InvalidArgs"),
        ("LogLevel", Variant("s", ""), "InvalidArgs"),
        ("LogLevel", Variant("u", 7), "InvalidArgs"),
        ("LogTarget", Variant("s", "kmsg"), "InvalidArgs"),
        ("SyslogIdentifier", Variant("s", "x"), "PropertyReadOnly"),
        ("Nothing", Variant("s", "x"), "UnknownProperty"),
    ],
)
async def test_what_cannot_be_set(house: House, name: str, value: Variant, error: str) -> None:
    root = await house.client(ROOT_UID)
    told = await root.error(PATH, PROPERTIES, "Set", "ssv", LOG_CONTROL, name, value)
    assert told.name == ERROR + error
    assert name in told.text
    assert (house.log_control.level, house.log_control.target) == ("info", "journal")


async def test_it_is_found_by_looking(house: House) -> None:
    bob = await house.client(BOB)
    introspect = "org.freedesktop.DBus.Introspectable"
    for path, below in (("/org", "freedesktop"), ("/org/freedesktop", "LogControl1"), (PATH, "LogTarget")):
        (text,) = await bob.call(path, introspect, "Introspect")
        assert f'name="{below}"' in text
