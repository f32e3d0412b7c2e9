# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin checked system calls; imports nothing of ours."""
