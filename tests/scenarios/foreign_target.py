# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that can't take over are refused by check and by update, with a reason, before any guest was paused."""

KERNELS = ["7.3", "debian"]
UNPROVEN = "not run yet"

# longest silence of a guest that was never paused, under emulation, in seconds
UNDISTURBED = 1.5


def run(lab):
    with lab.host() as host:
        three = lab.three_guests(host)
        host.run("dd if=/dev/urandom of=/root/noise bs=1M count=4 2>/dev/null; head -c 2000000 /lab/bzImage-7.3 > /root/cut; : > /root/empty")
        begin = host.pump.clock()
        for title, path in (("kernel without our patches", "/lab/bzImage-debian"), ("not a kernel", "/root/noise"), ("half a kernel", "/root/cut"),
                            ("an empty file", "/root/empty"), ("no file", "/root/nothing"), ("a directory", "/etc")):
            with lab.case(title):
                for verb in ("check", "update --yes"):
                    result = lab.luctl(host, f"{verb} --kernel {path}", check=False)
                    lab.expect(result.code not in (0, 2), f"{verb} exited with {result.code}: {result.out}{result.err}")
                    lab.expect(result.err.strip() or result.out.strip(), f"{verb} gave no reason")
                    if verb == "check":
                        lab.say("  " + (result.err.strip() or result.out.strip()).splitlines()[0])
        spans = lab.witness(host, three, begin)
        for name, span in spans.items():
            lab.expect(span.blackout()[0] < UNDISTURBED, f"{name} stood still for {span.blackout()[0]:.2f} s")
        state = lab.ask(host, "status")["state"]
        lab.expect(state in ("idle", "aborted"), f"state is {state}")
        with lab.case("a right target still works"):
            start = lab.update(host, "7.3")
            lab.witness(host, three, start)
