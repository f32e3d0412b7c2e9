# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: D-Bus messages in, typed replies out."""
