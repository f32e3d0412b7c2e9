# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Containerfile to an image: a client of org.mctl1 like any other, with no more rights than its caller's."""
