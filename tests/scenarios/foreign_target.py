# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that can't take over are refused by check and by update, with a reason, before any guest was paused."""

KERNELS = ["7.3", "debian"]


def stops(host, guest):
    """How often its QEMU has stopped the guest, by QEMU's own trace."""
    return int(host.run(f"grep -c 'vm_state_notify running 0' /var/lib/lab/{guest.name}.trace", check=False).out)


def run(lab):
    with lab.host() as host:
        host.run("mkdir -p /var/lib/lab /etc/luctl/hooks.d")
        three = lab.three_guests(host, lambda name: ["-trace", "vm_state_notify", "-D", f"/var/lib/lab/{name}.trace"])
        host.run("dd if=/dev/urandom of=/root/noise bs=1M count=4 2>/dev/null; head -c 2000000 /lab/bzImage-7.3 > /root/cut; : > /root/empty")
        begin = host.pump.clock()
        for title, path in (("kernel without our patches", "/lab/bzImage-debian"), ("not a kernel", "/root/noise"), ("half a kernel", "/root/cut"),
                            ("an empty file", "/root/empty"), ("no file, and a name that is not ASCII", "/root/kern-ü"), ("a directory", "/etc")):
            with lab.case(title):
                for verb in ("check", "update --yes"):
                    result = lab.luctl(host, f"{verb} --kernel {path}", check=False)
                    lab.expect(result.code not in (0, 2), f"{verb} exited with {result.code}: {result.out}{result.err}")
                    lab.expect(result.err.strip() or result.out.strip(), f"{verb} gave no reason")
                    if verb == "check":
                        reasons = [row for row in (result.out + result.err).splitlines() if row.startswith("error")]
                        lab.expect(reasons, f"check names no error: {result.out}{result.err}")
                        lab.say("  " + reasons[0])
        lab.witness(host, three, begin)
        for guest in three:
            lab.expect(stops(host, guest) == 0, f"{guest.name} was paused")
        state = lab.ask(host, "status")["state"]
        lab.expect(state in ("idle", "aborted"), f"state is {state}")
        with lab.case("the trace would have told"):
            host.put("/etc/luctl/hooks.d/fault", "#!/bin/sh\n[ $1 != saving ]\n", mode="755")
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
            lab.expect(result.code not in (0, 2), f"luctl exited with {result.code}: {result}")
            for guest in three:
                lab.expect(stops(host, guest) == 1, f"{guest.name} was stopped {stops(host, guest)} times by QEMU's trace, not once")
            host.run("rm /etc/luctl/hooks.d/fault")
        with lab.case("a right target still works"):
            start = lab.update(host, "7.3")
            lab.witness(host, three, start)
