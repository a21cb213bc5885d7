# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an update would begin, and what would become of each guest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: luctl_plan
short_description: Whether a host's kernel could be replaced, and what would become of each guest
description: Runs C(luctl plan). Nothing is paused or changed.
author: luctl (@luctl)
extends_documentation_fragment: luctl.host.target
options:
  must_be_possible:
    description: Fail if an update would be refused, and name all reasons with their hints.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Could this host go on in the new kernel?
  luctl.host.luctl_plan:
    kernel: 7.3.5-lu
    must_be_possible: true
"""

RETURN = r"""
plan:
  description: What C(luctl plan --json) says.
  returned: success, or if it is not possible
  type: dict
objections:
  description: All that an update would be refused for, with hints.
  returned: success, or if it is not possible
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.luctl.host.plugins.module_utils.luctl import EXCLUDE_EACH_OTHER, OK, REFUSED, TARGET, Luctl, objections, words_of


def main():
    module = AnsibleModule(argument_spec={**TARGET, "must_be_possible": {"type": "bool", "default": False}},
                           mutually_exclusive=EXCLUDE_EACH_OTHER, supports_check_mode=True)
    luctl = Luctl(module)
    plan, code = luctl.ask("plan", *words_of(module.params), codes=(OK, REFUSED))
    against = objections(plan)
    if module.params["must_be_possible"] and not plan["ok"]:
        luctl.fail("plan", code, "an update would be refused: " + "; ".join(against), plan=plan, objections=against)
    module.exit_json(changed=False, plan=plan, objections=against)


if __name__ == "__main__":
    main()
