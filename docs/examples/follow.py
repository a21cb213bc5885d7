#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what goes on with this host's guests and updates until a job has ended: follow.py [D-BUS-ADDRESS]

By signals alone: nothing is asked after the beginning. Exit code: 0 it ended well, 1 it did not, or luctld went away.
"""

import sys

import luctl
from gi.repository import GLib

loop = GLib.MainLoop()
names, running, ended = {}, set(), []


def changed(path, interface, properties):
    if path is None:
        print("luctld went away")
        loop.quit()
    elif interface == luctl.VM and properties is None:
        print(f"VM {names.pop(path, path)} is gone")
    elif interface == luctl.VM:
        names[path] = properties.get("Name", names.get(path, path))
        if "State" in properties:
            print(f"VM {names[path]}: {properties['State']}")
    elif interface == luctl.JOB and properties:
        if "Kind" in properties and not properties["Result"]:       # not one that had ended before
            running.add(path)
        if path in running and "State" in properties:
            count = f" {properties['Done']}/{properties['Total']}" if properties["Total"] else ""
            print(f"job: {properties['State']}{count} {properties['Detail']}".rstrip())
        if path in running and properties.get("Result"):
            print(f"job ended: {properties['Result']}")
            ended.append(properties["Result"])
            loop.quit()
    sys.stdout.flush()


luctl.Host(*sys.argv[1:2]).watch(changed)
if not ended:
    loop.run()
sys.exit(0 if ended == ["success"] else 1)
