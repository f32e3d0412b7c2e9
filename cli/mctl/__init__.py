# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of mctl: a thin client of org.mctl1 on the system bus."""

VERSION = "0.1.0"
