# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's TPM (swtpm) holds what the guest has put there, after updates, undone ones and by update --vmm; helpers of guests are not stopped; vhost-user is refused by name (only by name)."""

import hashlib
import re
import time

from lab import guests

KERNELS = ["7.3"]
LIMIT = 1800

FAULT = """#!/bin/sh
[ "$1" = saving ] && exit 1
exit 0
"""
# after the guest was prepared, and before file systems are frozen
TAKE_AWAY = """#!/bin/sh
[ "$1" = saving ] && mv /usr/bin/swtpm /usr/bin/swtpm.away
exit 0
"""
LINE = re.compile(r"^TPM (\d+) pcr=([0-9a-f]{64}) nv=([0-9a-f]{16})$")
BOOT = re.compile(r" boot=([0-9a-f]{16}) ")

# An ordinary unit of the administrator's, which quiescing stops but for whom a guest needs.
HELPER = """[Unit]
Description=A helper of guest {name}
[Service]
User=luctl-vm
UMask=0077
ExecStartPre=+/usr/bin/install -d -o luctl-vm /run/luctl/vm/{name}
ExecStart={command}
"""
QSD = "/usr/bin/qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=/var/lib/lab/blk.img --export " \
      "type=vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=/run/luctl/vm/blk/disk.sock,writable=on"
VIRTIOFSD = "/usr/libexec/virtiofsd --socket-path=/run/luctl/vm/fs/fs.sock --shared-dir=/srv/share --sandbox=none"
ORDINARY = """[Service]
ExecStart=/bin/sleep infinity
"""


def told(host, guest):
    return [(when, LINE.match(text)) for when, text in list(host.guest[guest.line].since(0)) if LINE.match(text)]


def check_tpm(lab, host, guest, since, boots=1, timeout=90):
    """After a moment the TPM says what it must hold by all that the guest has ever done to it."""
    end = time.monotonic() + timeout
    while not any(when > since for when, _ in told(host, guest)[1:]):
        lab.expect(time.monotonic() < end, f"{guest.name} says nothing of its TPM; its console:\n{host.guest[guest.line].tail(5)}")
        time.sleep(0.5)
    bad = [text for _, text in list(host.guest[guest.line].since(0)) if text.startswith("TPM BAD") or "nv=BAD" in text]
    lab.expect(not bad, f"{guest.name}: {bad}")
    seeds = list(dict.fromkeys(m[1] for _, text in list(host.guest[guest.line].since(0)) for m in [BOOT.search(text)] if m))
    lab.expect(len(seeds) == boots, f"{guest.name} was started {len(seeds)} times")
    pcr, wanted = bytes(32), {}
    lines = [(when, int(m[1]), m[2], int(m[3], 16)) for when, m in told(host, guest)]
    # the newest boot's
    last = max((i for i, line in enumerate(lines) if line[1] == 1), default=0)
    lines = lines[last:]
    for n in range(1, lines[-1][1] + 1):
        pcr = hashlib.sha256(pcr + bytes.fromhex(seeds[-1]) * 4).digest()
        wanted[n] = pcr.hex()
    for when, n, has, nv in lines:
        lab.expect(has == wanted[n], f"{guest.name}: PCR 10 after {n} extensions, at {when:.1f} s: {has}, not {wanted[n]}")
        lab.expect(nv == n, f"{guest.name}: the NV index holds {nv}, not {n}")
    lab.say(f"  after {lines[-1][1]} extensions PCR 10 is {lines[-1][2][:16]}…, the NV index holds {lines[-1][3]}")


def main_pid(host, unit):
    return int(host.run(f"systemctl show -p MainPID --value {unit}").out)


def tpm_process(host):
    return int(host.run("pgrep -x swtpm", check=False).out.strip() or 0)


def in_scope(lab, host, pid):
    group = host.run(f"cat /proc/{pid}/cgroup").out
    lab.expect("luctl-vm-safe.scope" in group, f"swtpm runs in {group}")
    words = host.run(f"tr '\\0' ' ' < /proc/{pid}/cmdline").out
    lab.expect(words.count("--terminate") == 1 and "--daemon" not in words, f"its words: {words}")
    lab.expect(host.run(f"stat -c %U /proc/{pid}").out.strip() == "luctl-vm", "it runs as somebody else")


def helper(host, unit, name, command):
    host.put(f"/etc/systemd/system/{unit}", HELPER.format(name=name, command=command), "644")


def run(lab):
    with lab.host() as host:
        safe = guests.Ticker("safe", 0, 64, tpm=4)
        blk = guests.Ticker("blk", 1, 64, extra=["-chardev", "socket,id=c,path=/run/luctl/vm/blk/disk.sock,reconnect-ms=1000", "-device", "vhost-user-blk-pci,chardev=c"])
        fs = guests.Ticker("fs", 2, 64, extra=["-chardev", "socket,id=c,path=/run/luctl/vm/fs/fs.sock", "-device", "vhost-user-fs-pci,chardev=c,tag=share"])
        guests.prepare(host)
        helper(host, "disk-of-blk.service", "blk", QSD)
        helper(host, "share-of-fs.service", "fs", VIRTIOFSD)
        host.put("/etc/systemd/system/ordinary.service", ORDINARY, "644")
        # what quiescing keeps it has to find out by itself
        host.run("mkdir -p /etc/systemd/system/luctl-tpm@.service.d /srv/share /etc/luctl/hooks.d; truncate -s 8M /var/lib/lab/blk.img; chown luctl-vm: /srv/share /var/lib/lab/blk.img")
        host.put("/etc/systemd/system/luctl-tpm@.service.d/lab.conf", "[Unit]\nIgnoreOnIsolate=no\n", "644")
        host.run("systemctl daemon-reload; systemctl enable luctl-tpm@safe; systemctl start ordinary disk-of-blk share-of-fs; sleep 1")
        lab.start(host, safe, blk, fs)
        check_tpm(lab, host, safe, host.pump.clock())

        with lab.case("the plan"):
            plan = lab.ask_anyway(host, "plan", 3)
            vms = {vm["name"]: vm for vm in plan["vms"]}
            lab.expect(vms["safe"]["verdict"] == "goes-along" and not vms["safe"]["late"], f"{vms['safe']}")
            for name, word in (("blk", "vhost-user"), ("fs", "vhost-user")):
                said = [r["what"] for r in vms[name]["reasons"]]
                lab.expect(vms[name]["verdict"] == "cannot" and any(word in s and "another process" in s for s in said), f"{name}: {said}")
                lab.expect(all(r["hint"] for r in vms[name]["reasons"]), f"{name}: a reason without a hint")
                lab.say(f"  {name}: " + "; ".join(said))

        with lab.case("an update that is undone: the TPM is used on, and no helper was stopped"):
            units = ("luctl-tpm@safe", "disk-of-blk", "share-of-fs")
            before = {u: main_pid(host, u) for u in (*units, "ordinary")}
            lab.expect(all(before.values()), f"{before}")
            host.put("/etc/luctl/hooks.d/fault", FAULT, mode="755")
            start = host.pump.clock()
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes --exclude blk --exclude fs", check=False, timeout=300)
            lab.expect(result.code == 5, f"not aborted: {result}")
            after = {u: main_pid(host, u) for u in (*units, "ordinary")}
            lab.expect(all(after[u] == before[u] for u in units), f"before {before}, after {after}")
            # the control
            lab.expect(after["ordinary"] != before["ordinary"], "ordinary.service was not stopped: nothing is shown by this")
            lab.witness(host, (safe, blk, fs), start)
            check_tpm(lab, host, safe, host.pump.clock())
            host.run("rm /etc/luctl/hooks.d/fault; systemctl stop luctl-vm@blk luctl-vm@fs disk-of-blk share-of-fs ordinary; rm /etc/luctl/vms.d/blk.json /etc/luctl/vms.d/fs.json")

        with lab.case("QEMU alone is replaced: its swtpm ends with it, and another one goes on"):
            start, old = host.pump.clock(), tpm_process(host)
            lab.luctl(host, "update --vmm --yes safe", timeout=300)
            lab.witness(host, (safe,), start)
            check_tpm(lab, host, safe, host.pump.clock())
            lab.expect(tpm_process(host) not in (0, old), f"swtpm is process {tpm_process(host)}, and was {old}")
            in_scope(lab, host, tpm_process(host))

        for again in ("first", "second"):
            with lab.case(f"the {again} update"):
                start = lab.update(host, "7.3")
                lab.witness(host, (safe,), start)
                check_tpm(lab, host, safe, host.pump.clock())
                in_scope(lab, host, tpm_process(host))
                lab.expect(host.run("systemctl is-active luctl-tpm@safe", check=False).out.strip() == "inactive", "its unit has started a second one")
                lab.expect(lab.ask(host, "report")["vms"][0]["by"] == "lu-init", "it was not resumed early")

        with lab.case("swtpm can't be started in the next kernel: the guest waits, and goes on when it is there again"):
            host.put("/etc/luctl/hooks.d/take", TAKE_AWAY, mode="755")
            start = host.pump.clock()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes", 900)
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=200)
            lab.expect(lab.ask(host, "status")["state"] == "degraded", f"{lab.ask(host, 'status')}")
            error = lab.ask(host, "report")["vms"][0]["error"]
            lab.expect(error and "its TPM" in error["what"] and error["hint"], f"{error}")
            lab.say(f"  {error['what']} ({error['hint']})")
            host.run("rm /etc/luctl/hooks.d/take; mv /usr/bin/swtpm.away /usr/bin/swtpm")
            lab.luctl(host, "restore safe", timeout=120)
            lab.witness(host, (safe,), start, limit=300)
            check_tpm(lab, host, safe, host.pump.clock())
            in_scope(lab, host, tpm_process(host))

        with lab.case("the guest ends: so does its TPM; started anew it has a TPM by its unit again"):
            host.run("systemctl stop luctl-vm-safe.scope; sleep 2")
            lab.expect(tpm_process(host) == 0, "swtpm is there without its guest")
            lab.expect(host.run("ls /run/luctl/resumed").out.strip() == "", "a marker was left")
            mark = len(host.guest[safe.line].lines)
            host.run("systemctl start luctl-vm@safe", timeout=60)
            host.guest[safe.line].wait(r"^TPM \d+ pcr=", 120, mark)
            lab.expect(main_pid(host, "luctl-tpm@safe") == tpm_process(host) != 0, "its TPM is not that of its unit")
            # the NV index is the one of before
            check_tpm(lab, host, safe, host.pump.clock(), boots=2)
