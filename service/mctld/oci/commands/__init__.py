# SPDX-License-Identifier: GPL-3.0-or-later
"""One file for each command, each loaded only when it is asked for."""
