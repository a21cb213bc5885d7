# SPDX-License-Identifier: GPL-2.0-or-later
"""Begins an update. What waits for its end is the action plugin of the same name, since this ends with the kernel it runs on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: luctl_update
short_description: Replaces a KVM host's kernel under its running guests
description:
  - Runs C(luctl update) on the host in a unit of its own, which does not end with the connection (C(luctl-update-ansible.service)),
    waits for the jump, connects again and fetches the report of this very update.
  - A host that runs the target's release already is left alone.
  - Fails if the update was refused (nothing was touched), aborted (all guests run on the old kernel) or degraded (a guest does not run).
author: luctl (@luctl)
extends_documentation_fragment: luctl.host.target
options:
  force:
    description: Update also into the release that runs already.
    type: bool
    default: false
  rehearse:
    description: Do all but the jump, and take it back. The guests pause, and go on in this kernel. Nothing is changed.
    type: bool
    default: false
  timeout:
    description: So many seconds after its beginning the update must have ended. One that has not jumped by then is taken back.
    type: int
    default: 3600
  sleep:
    description: How many seconds to wait before the host is asked again.
    type: int
    default: 5
attributes:
  check_mode:
    description: Makes C(luctl check), and fails if that would refuse the update.
    support: full
  diff_mode:
    description: Shows the kernels' releases.
    support: full
notes:
  - While it waits, ssh connections have C(ServerAliveInterval) set, or the one that is open at the jump would hang.
"""

EXAMPLES = r"""
- name: Into a kernel that is installed there
  luctl.host.luctl_update:
    kernel: 7.3.5-lu
    max_blackout: 10
  register: update

- name: How long did the guests stand still?
  ansible.builtin.debug:
    msg: "{{ update.report.blackout_usec / 1000000 }} s in update {{ update.update_id }}"
  when: update is changed
"""

RETURN = r"""
update_id:
  description: The id of the update, as in its report.
  returned: if one was begun
  type: str
report:
  description: What C(luctl report --update ID --json) says of it.
  returned: if it has ended
  type: dict
check:
  description: What C(luctl check --json) said before.
  returned: if the host does not run the target already
  type: dict
elapsed:
  description: Seconds until the host was there again and the update had ended.
  returned: if one was begun
  type: int
"""

import json
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.luctl.host.plugins.module_utils.luctl import ANSWERED, EXCLUDE_EACH_OTHER, OK, REFUSED, TARGET, Luctl, objections, with_hint, words_of

# The unit is left alone when services stop before the jump, and its end is a Ctrl-C, as of luctl-update@.service.
UNIT = ["--pipe", "--wait", "--quiet", "--collect", "--unit=luctl-update-ansible", "--description=Live update that Ansible has asked for",
        "--service-type=exec", "--property=IgnoreOnIsolate=yes", "--property=KillSignal=SIGINT", "--property=TimeoutStopSec=10min"]


def begin(module, luctl, words):
    """Start the update and return its id as soon as it has one: what comes after that may end this process with the kernel."""
    more = ["--rehearse"] if module.params["rehearse"] else []
    argv = [module.get_bin_path("systemd-run", required=True), *UNIT, f"--property=RuntimeMaxSec={module.params['timeout']}", "--",
            luctl.program, "update", "--yes", "--json", *more, *words]
    # not in a with: that would wait for its end
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None:
        code, status, said = luctl.call("status")
        if code in ANSWERED and status["update"]:
            return status["update"]["id"]
        time.sleep(0.2)
    out, err = process.communicate()
    try:
        outcome = json.loads(out)
    except ValueError:
        luctl.fail("update", process.returncode, err.strip())
    error = outcome["error"] or {"what": outcome["result"], "hint": None}
    if outcome["result"] not in ("success", "aborted", "degraded"):
        luctl.fail("update", process.returncode, f"{outcome['result']}: {with_hint(error['what'], error['hint'])}", **module.begun)
    # over before it could be asked for its id: its report is the newest
    return outcome["update"] or luctl.ask("report", codes=ANSWERED)[0]["id"]


def main():
    module = AnsibleModule(argument_spec={**TARGET, "force": {"type": "bool", "default": False}, "rehearse": {"type": "bool", "default": False},
                                          "timeout": {"type": "int", "default": 3600}, "sleep": {"type": "int", "default": 5}},
                           mutually_exclusive=EXCLUDE_EACH_OTHER, supports_check_mode=True)
    luctl, params = Luctl(module), module.params
    again = params["force"] or params["rehearse"]
    status, code = luctl.ask("status", codes=ANSWERED)
    # or its id would be taken for this one's
    if status["update"]:
        luctl.fail("update", code, with_hint(f"update {status['update']['id']} is under way", "wait for its end: luctl status --wait"))
    if params["kernel"] == status["kernel"] and not again:
        module.exit_json(changed=False, status=status)
    words = words_of(params)
    check, code = luctl.ask("check", *words, codes=(OK, REFUSED))
    if check["release"] == status["kernel"] and not again:
        module.exit_json(changed=False, status=status)
    if not check["ok"]:
        luctl.fail("check", code, "the update was refused, nothing was touched: " + "; ".join(objections(check)), check=check)
    after = status["kernel"] if params["rehearse"] else check["release"]
    module.begun = {"check": check, "diff": {"before": f"kernel {status['kernel']}\n", "after": f"kernel {after}\n"}}
    if module.check_mode:
        module.exit_json(changed=not params["rehearse"], **module.begun)
    module.exit_json(changed=False, update_id=begin(module, luctl, words), **module.begun)


if __name__ == "__main__":
    main()
