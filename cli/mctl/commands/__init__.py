# SPDX-License-Identifier: GPL-3.0-or-later
"""One module a verb: VERB says how it is called, run() does it."""
