# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI runtime specification that all here follows; its chapters are named as config.md#hooks."""

VERSION = "1.2.1"
