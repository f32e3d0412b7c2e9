# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld: containers as first-class citizens of a systemd host."""

VERSION = "0.1.0"
