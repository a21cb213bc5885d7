# SPDX-License-Identifier: GPL-2.0-or-later
"""luctl, called with --json: its documents as they are, its errors with their hints."""

from __future__ import annotations

import json

OK, REFUSED, UNREACHABLE, ABORTED, DEGRADED, DENIED = 0, 3, 4, 5, 6, 7
# of one who asks how an update ended: that it ended badly is no failure of the question
ANSWERED = (OK, ABORTED, DEGRADED)

# what luctl is told of the target, in check, plan and update
TARGET = {
    "kernel": {"type": "str"},
    "initrd": {"type": "path"},
    "no_initrd": {"type": "bool", "default": False},
    "cmdline": {"type": "str"},
    "trial": {"type": "bool"},
    "max_blackout": {"type": "float"},
    "exclude": {"type": "list", "elements": "str", "default": []},
}
EXCLUDE_EACH_OTHER = [("initrd", "no_initrd")]


def words_of(params):
    """The target's parameters as words of a command line."""
    words = []
    for name in ("kernel", "initrd", "cmdline", "max_blackout"):
        if params[name] is not None:
            words += ["--" + name.replace("_", "-"), str(params[name])]
    if params["no_initrd"]:
        words.append("--no-initrd")
    if params["trial"] is not None:
        words.append("--trial" if params["trial"] else "--no-trial")
    for vm in params["exclude"]:
        words += ["--exclude", vm]
    return words


def with_hint(what, hint):
    return f"{what} (hint: {hint})" if hint else what


def objections(plan):
    """All that an update would be refused for, of a document of plan or check, a line each."""
    found = [with_hint(f"{f['object']}: {f['what']}", f["hint"]) for f in plan["findings"] if f["level"] == "error"]
    for vm in plan.get("vms", []):
        if vm["verdict"] == "cannot":
            found += [with_hint(f"VM {vm['name']}: {r['what']}", r["hint"]) for r in vm["reasons"]]
            found += [with_hint(f"VM {vm['name']}: device {d['address']}: {r['what']}", r["hint"]) for d in vm["devices"] for r in d["reasons"]]
    return found


class Luctl:
    def __init__(self, module):
        self.module = module
        self.program = module.get_bin_path("luctl", required=True)

    def call(self, *words):
        """Exit code, the document that was printed or None, and what was said on stderr, in one line."""
        code, out, err = self.module.run_command([self.program, *words, "--json"], environ_update={"LC_ALL": "C.UTF-8"})
        lines = [line.removeprefix("luctl: ") for line in err.splitlines()]
        said = "; ".join(line for line in lines if not line.startswith("hint: "))
        try:
            document = json.loads(out)
        except ValueError:
            document = None
        return code, document, with_hint(said, " ".join(line[6:] for line in lines if line.startswith("hint: ")))

    def ask(self, *words, codes=(OK,)):
        """The document, and the exit code, which must be one of these."""
        code, document, said = self.call(*words)
        if code not in codes or document is None:
            self.fail(words[0], code, said)
        return document, code

    def fail(self, verb, code, said, **more):
        why = {UNREACHABLE: "luctld cannot be reached: ", DENIED: "denied, is become needed? "}.get(code, "")
        self.module.fail_json(msg=f"luctl {verb}: {why}{said}", rc=code, **more)
