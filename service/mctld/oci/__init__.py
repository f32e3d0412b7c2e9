# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI runtime command, mctl-oci: bundles of other engines on the stage and the walls of this one, without mctld."""
