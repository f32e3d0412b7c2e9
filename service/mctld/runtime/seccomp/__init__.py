# SPDX-License-Identifier: GPL-3.0-or-later
"""Which system calls a payload may make, seccomp(2): profiles, their compilation, their loading."""
