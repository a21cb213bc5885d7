# SPDX-License-Identifier: GPL-2.0-or-later
"""libluctl in an event loop: docs/examples/follow.c follows a job that it has not begun."""

import os
import subprocess
import time

from world import NOBODY


class Follower:
    def __init__(self, world):
        # leaks are judged, too
        self.process = subprocess.Popen([os.environ["LUCTL_TEST_FOLLOW"], world.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, cwd="/")
        world.processes.append(self.process)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        """Its exit code, and what it has said that was not read yet; its standard input stays open until then."""
        said = self.process.stdout.read().splitlines()
        return self.process.wait(60), said


def started(world):
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    return world.root.call("UpdateVMM", ["a"])


def test_nothing_to_follow(world):
    """No job is under way, or no luctld is there."""
    world.start()
    assert Follower(world).end() == (2, ["follow: no job is under way"])
    world.daemon.stop()
    assert Follower(world).end() == (2, ["follow: luctld is not running"])


def test_attached(world):
    """It finds the job, is told each step from where it is, and how it ends."""
    job = started(world)
    follower = Follower(world)
    update = world.root.document("GetStatus")["update"]["id"]
    assert follower.line() == f"{job} of {update}:"
    code, said = follower.end()
    error = world.root.document("GetStatus")["error"]["what"]
    assert code == 1 and said[0] == "examining" and said[-1] == f"aborted: {error}", said
    assert said[1:-1] == [f"aborting: {error}", f"aborted: {error}"], said


def test_not_waited_for(world):
    """The program's other events are served meanwhile: it ends when its standard input does."""
    job = started(world)
    follower = Follower(world)
    assert job in follower.line() and follower.line() == "examining"
    begun = time.monotonic()
    follower.process.stdin.close()
    assert follower.end() == (2, []) and time.monotonic() - begun < 5
    assert world.root.property("State") == "examining"


def test_the_daemon_is_killed(world):
    """It is told that luctld went away, and finds what became of the update when it is back."""
    job = started(world)
    follower = Follower(world)
    assert job in follower.line() and follower.line() == "examining"
    world.restart()
    code, said = follower.end()
    assert said[0] == "luctld went away" and said[-1].startswith("aborted") and code == 1, (code, said)


def test_others_are_not_believed(world):
    """Signals that somebody else sends in the daemon's name are no news."""
    job = started(world)
    follower = Follower(world)
    assert job in follower.line() and follower.line() == "examining"
    rights = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for signal in (["org.luctl1.Job", "Finished", "sss", "success", "", ""], ["org.luctl1.Job", "Progress", "ss", "jump", "now"],
                   ["org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", "org.luctl1.Job", "1", "Result", "s", "success", "0"]):
        subprocess.run([*rights, "busctl", f"--address={world.address}", "emit", job, *signal], check=True, cwd="/")
    code, said = follower.end()
    assert code == 1 and said[0].startswith("aborting") and said[-1].startswith("aborted"), said
