# SPDX-License-Identifier: GPL-2.0-or-later
"""What luctl_plan and luctl_update are told of the target."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kernel:
    description:
      - The target kernel, as a release that is installed (it brings its initrd), or as the path of an image on the host.
      - Without it, C(luctl_update) takes the newest kernel that is installed, and C(luctl_plan) judges the host and its guests alone.
    type: str
  initrd:
    description: The target's initial RAM disk, if I(kernel) is a path.
    type: path
  no_initrd:
    description: The target is meant to have none.
    type: bool
    default: false
  cmdline:
    description: The target's command line. By default it is the running kernel's.
    type: str
  trial:
    description: Have the target come up in a throw-away machine first, or not. By default an update does so where the host can.
    type: bool
  max_blackout:
    description: No guest may stand still for longer than so many seconds.
    type: float
  exclude:
    description: Guests that are left out. They end with the present kernel.
    type: list
    elements: str
    default: []
requirements: [luctl on the host]
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what changes.
    support: none
"""
