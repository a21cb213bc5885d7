# SPDX-License-Identifier: GPL-2.0-or-later
"""Begins an update by the module of the same name, waits until the host is there again, and fetches the update's report.

How it can end:
 1. The module fails, has nothing to do, or is in check mode: its result is the result.
 2. The report of the update's id is there and no update is under way: the report is the verdict.
 3. The host answers, luctld rests and knows nothing of that update: something else has started the host anew.
 4. Nothing of that within timeout.
A connection that fails or hangs meanwhile is what a jump looks like from here.
"""

from __future__ import annotations

import datetime
import json

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.action.wait_for_connection import ActionModule as WaitForConnection, TimedOutException

INFO = "luctl.host.luctl_info"
ANSWERED = (0, 5, 6)     # by luctl status: how the last update ended
# how often a host may say that it rests and has no such report
STRANGE = 5
KEEP_ALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"


def with_hint(error):
    return f"{error['what']} (hint: {error['hint']})" if error["hint"] else error["what"]


class ActionModule(WaitForConnection):
    _VALID_ARGS = frozenset()       # the module's, which knows them

    def _keep_alive(self):
        """Of ssh, whose master that stands would not know of it."""
        if self._connection.transport == "ssh":
            before = self._connection.get_option("ssh_common_args") or ""
            self._connection.set_option("ssh_common_args", f"{before} {KEEP_ALIVE}".strip())
            self._connection.reset()

    def _forget_tmp(self):
        """The modules' folder on the host: it may not be there any more after a jump."""
        try:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        finally:
            self._connection._shell.tmpdir = None

    def _status(self):
        """What luctl status says. A command and no module: of a batch of hosts each is asked again and again."""
        try:
            done = self._low_level_execute_command("luctl status --json")
        except AnsibleConnectionFailure:
            self._connection.reset()
            raise
        if done["rc"] not in ANSWERED:
            raise TimedOutException(f"luctl status: {done['stderr'].strip()}")
        return json.loads(done["stdout"])

    def _wait(self, update, timeout, sleep, task_vars):
        """What luctl_info says once it has ended."""
        last = {"strange": 0}

        def ended(_connect_timeout):
            status = self._status()
            if status["update"]:
                raise TimedOutException(f"it is in state {status['state']}")
            try:
                info = self._execute_module(module_name=INFO, module_args={"update": update}, task_vars=task_vars)
            finally:
                self._forget_tmp()
            if info.get("failed"):
                raise TimedOutException(info["msg"])
            last["info"] = info
            last["strange"] += not info["report"]
            if not info["report"] and last["strange"] < STRANGE:
                raise TimedOutException("the host knows nothing of it")

        self.do_until_success_or_timeout(ended, timeout, None, what_desc=f"update {update}", sleep=sleep)
        return last["info"]

    def run(self, tmp=None, task_vars=None):
        result = ActionBase.run(self, tmp, task_vars)
        start = datetime.datetime.now()
        self._keep_alive()
        result.update(self._execute_module(module_name="luctl.host.luctl_update", task_vars=task_vars))
        self._forget_tmp()
        params = result.get("invocation", {}).get("module_args", {})
        update = result.get("update_id")
        if result.get("failed") or not update:
            return result
        try:
            info = self._wait(update, params["timeout"], params["sleep"], task_vars)
        except TimedOutException as error:
            result.update(failed=True, msg=f"luctl update: {error}")
            return result
        report, kernel = info["report"], info["status"]["kernel"]
        result.update(report=report, elapsed=int((datetime.datetime.now() - start).total_seconds()))
        if not report or report["id"] != update:
            result.update(failed=True, msg=f"luctl update: the host runs {kernel} and knows nothing of update {update}: was it started anew?")
            return result
        result["changed"] = report["result"] != "aborted" and not params["rehearse"]
        if not result["changed"]:
            result.pop("diff", None)
        if report["result"] != "success":
            why = with_hint(report["error"]) if report["error"] else "luctl report tells more"
            result.update(failed=True, msg=f"update {update} was {report['result']}, the host runs {kernel}: {why}")
        return result
