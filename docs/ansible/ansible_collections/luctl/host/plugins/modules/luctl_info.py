# SPDX-License-Identifier: GPL-2.0-or-later
"""What luctld knows of its host, its guests and its updates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: luctl_info
short_description: What luctl knows of a host, its guests and its updates
description: Asks luctld on a KVM host. The answers are luctl's own documents (luctl(1), C(--json)). Changes nothing.
author: luctl (@luctl)
options:
  update:
    description:
      - The id of an update whose report is wanted, too.
      - While that update is under way, or if the host knows nothing of it, I(report) is null in the result.
    type: str
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what changes.
    support: none
requirements: [luctl on the host]
"""

EXAMPLES = r"""
- name: Which kernel runs, and did the last update go well?
  luctl.host.luctl_info:
  register: info

- name: No state of a guest waits to be restored
  ansible.builtin.assert:
    that: info.vms | selectattr('state', 'in', ['saved', 'lost']) | length == 0
"""

RETURN = r"""
status:
  description: What C(luctl status --json) says.
  returned: success
  type: dict
vms:
  description: The guests, as C(luctl vm list --json) names them.
  returned: success
  type: list
  elements: dict
reports:
  description: Former updates, the newest first, as C(luctl report --list --json) names them.
  returned: success
  type: list
  elements: dict
report:
  description: The report of the update that was asked for.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.luctl.host.plugins.module_utils.luctl import ANSWERED, Luctl


def main():
    module = AnsibleModule(argument_spec={"update": {"type": "str"}}, supports_check_mode=True)
    luctl, update, report = Luctl(module), module.params["update"], None
    status, code = luctl.ask("status", codes=ANSWERED)
    vms, code = luctl.ask("vm", "list")
    reports, code = luctl.ask("report", "--list")
    if update and any(entry["id"] == update for entry in reports["reports"]):
        report, code = luctl.ask("report", "--update", update, codes=ANSWERED)
    module.exit_json(changed=False, status=status, vms=vms["vms"], reports=reports["reports"], report=report)


if __name__ == "__main__":
    main()
