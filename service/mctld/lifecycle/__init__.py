# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions: what happens to a container, when, and in which order."""
