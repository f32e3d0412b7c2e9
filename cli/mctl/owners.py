# SPDX-License-Identifier: GPL-3.0-or-later
"""Users by name."""

from __future__ import annotations


def owner_name(uid: int) -> str:
    if uid == 0:
        return "root"  # spares the look-up, which may load NSS modules
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
