# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain as virt-install makes it goes through an update: what libvirt and machined say of it is as before, and each command works. By UEFI: libvirt-uefi."""

import json
import re
import time
import xml.etree.ElementTree as ET

from lab import domains, guests, image

KERNELS = ["7.3"]
LIMIT = 2400
# comes and goes without the guest's help (a USB tablet comes, but QEMU 11.1 does not tell libvirt 11.3 that it has gone)
PORT = "<channel type='unix'><target type='virtio' name='lab.plugged'/><alias name='ua-plugged'/></channel>\n"
NAT = "192.168.122"
# libvirt's own network; open: it makes no rules of a firewall, which the lab's kernels don't have
NETWORK = f"""<network><name>lan</name><forward mode='open'/><bridge name='lanbr' stp='on' delay='0'/><ip address='{NAT}.1' netmask='255.255.255.0'>
<dhcp><range start='{NAT}.100' end='{NAT}.200'/></dhcp></ip></network>
"""
# the same to the other libvirt, which has no network of its own
BRIDGED = "<network><name>lan</name><forward mode='bridge'/><bridge name='lanbr'/></network>\n"
# what virsh tells of a domain that no update may change
TOLD = ["domuuid", "dominfo", "schedinfo", "memtune", "vcpupin", "emulatorpin", "domiflist", "domblklist --details", "numatune", "iothreadinfo", "domdisplay"]
# numbers that grow by themselves
COUNTED = r"(?m)^CPU time: .*$"
# of the terminals only libvirt's own commands may know
TERMINALS = r"/dev/pts/\d+"


def told(host, names):
    """What there is to be told: of each domain, of the host's network around them."""
    found = {f"{what} of {name}": host.run(f"virsh {what} {name}", timeout=120).out for name in names for what in TOLD}
    found.update({f"XML of {name}": re.sub(TERMINALS, "a terminal", host.run(f"virsh dumpxml {name}", timeout=120).out) for name in names})
    found["networks"] = host.run("virsh net-list --all").out
    found["dnsmasq"] = host.run("pgrep -xa dnsmasq | cut -d' ' -f2-").out
    found["bridges"] = host.run("cd /sys/class/net; for i in vnet*; do echo $i $(basename $(readlink $i/master)) $(cat $i/address $i/mtu $i/operstate); done").out
    found["machines"] = host.run("machinectl --no-legend list | sort").out
    return {name: re.sub(COUNTED, "", text) for name, text in found.items()}


def expect_same(lab, host, before, names):
    now = told(host, names)
    for name, text in before.items():
        lab.expect(now[name] == text, f"{name} was\n{text}\nand is\n{now[name]}")


def typed(host, name, text, seconds=4):
    """What a domain's console shows when a line is typed at it."""
    return host.run(f"(sleep 3; printf '\\r{text}\\r'; sleep {seconds}; printf '\\035') | timeout 60 script -qec 'virsh console {name} --force' /dev/null", check=False, timeout=90).out


def console(lab, host, name, text):
    # beside others a guest takes its time
    for seconds in (4, 10, 30):
        out = typed(host, name, text, seconds)
        if f"console: {text}" in out:
            return
    lab.expect(False, f"the console of {name} says {out!r}")


def until(host, command, seconds=60):
    end = time.monotonic() + seconds
    while True:
        result = host.run(command, check=False, timeout=60)
        if result.code == 0:
            return result
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {result}")
        time.sleep(1)


def plug(lab, host, web):
    """In and out again, seen by the guest: what was plugged in would keep the next update from taking the domain along."""
    host.put("/root/port.xml", PORT)
    host.run(f"virsh attach-device {web.name} /root/port.xml --live", timeout=120)
    # as virt-manager does: libvirt finds it by what it has made of it, a path among it
    port, = [c for c in ET.fromstring(host.run(f"virsh dumpxml {web.name}").out).iter("channel") if c.find("alias[@name='ua-plugged']") is not None]
    host.put("/root/port.xml", ET.tostring(port, encoding="unicode"))
    host.run(f"virsh detach-device {web.name} /root/port.xml --live", timeout=120)
    until(host, f"! virsh dumpxml {web.name} | grep -q ua-plugged")


def counted(host, name):
    """Bytes that the domain's first interface has received and sent."""
    out = host.run(f"virsh domifstat {name} $(virsh domiflist {name} | grep -o 'vnet[0-9]*' | head -1)", timeout=60).out
    return [int(re.search(rf"{what} (\d+)", out)[1]) for what in ("rx_bytes", "tx_bytes")]


def work_with(lab, host, web):
    first = counted(host, web.name)
    console(lab, host, web.name, "hello")
    lab.expect("{" in until(host, f"virsh qemu-agent-command {web.name} '{{\"execute\": \"guest-ping\"}}' --timeout 20").out, "the agent is silent")
    host.run(f"virsh domtime {web.name}", timeout=60)
    plug(lab, host, web)
    host.run(f"virsh snapshot-create-as {web.name} --disk-only --no-metadata --diskspec vda,file=/var/lib/lab/over.img", timeout=120)
    host.run(f"virsh blockcommit {web.name} vda --active --pivot --wait", timeout=180)
    host.run("rm /var/lib/lab/over.img")
    lab.expect(all(now > then for now, then in zip(counted(host, web.name), first)), "its interface counts nothing")


def run(lab):
    files = {"agent.initrd": guests.agent_initrd(image.base(), lab.results / "agent.initrd")}
    with lab.host(files=files) as host:
        domains.prepare(host)
        host.run("mkdir -p /var/lib/lab; cp /lab/agent.initrd /var/lib/lab/")
        host.put("/root/lan.xml", NETWORK)
        host.run("virsh net-define /root/lan.xml && virsh net-autostart lan && virsh net-start lan", timeout=120)
        web = domains.Domain(guests.Linux("web", 0, 256, options="attended"), usual=True, more="<interface type='network'><source network='lan'/><model type='virtio'/></interface>")
        web.guest.initrd = "/var/lib/lab/agent.initrd"
        off = domains.Domain(guests.Ticker("off", 1, 64))
        blue = guests.Ticker("blue", 2, 64)
        domains.start(lab, host, web, timeout=600)
        off.define(host)
        lab.start(host, blue)
        both, names = (web, blue), ("web",)
        host.run("virsh autostart web; virsh autostart off; virsh schedinfo web --live --set cpu_shares=512; virsh schedinfo web --live --set vcpu_quota=90000; "
                 "virsh memtune web --live --hard-limit 900000; virsh emulatorpin web 1 --live", timeout=180)
        console(lab, host, "web", "before")
        plug(lab, host, web)
        before, listed = told(host, names), domains.listed(host)
        plan = lab.ask(host, f"plan --kernel {lab.image_of('7.3')}")
        lab.expect(plan["ok"], f"the plan says: {json.dumps(plan, indent=1)}")

        with lab.case("an update: all that is told is as before"):
            start = lab.update(host, "7.3")
            lab.witness(host, both, start)
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
            expect_same(lab, host, before, names)

        with lab.case("libvirt works with them"):
            work_with(lab, host, web)
            lab.expect(not json.loads(lab.luctl(host, "plan --json", check=False, timeout=90).out)["vms"][0]["reasons"], "what was done keeps web from the next update")

        with lab.case("migrated to another libvirt"):
            other = domains.second(host)
            host.put("/root/bridged.xml", BRIDGED)
            host.run(f"for what in 'undefine lan' 'define /root/bridged.xml' 'start lan'; do virsh -c {other} net-$what || exit 1; done", timeout=120)
            # the other one has no control groups of its own
            tuned = ET.fromstring(host.run("virsh dumpxml web --migratable", timeout=60).out)
            for child in [c for c in tuned if c.tag in ("cputune", "memtune")]:
                tuned.remove(child)
            host.put("/root/untuned.xml", ET.tostring(tuned, encoding="unicode"))
            start = host.pump.clock()
            moved = host.run(f"virsh migrate --live --unsafe --verbose --xml /root/untuned.xml web {other} tcp://127.0.0.1", check=False, timeout=300)
            lab.expect(moved.code == 0, f"{moved}; the other QEMU says: {host.run('tail -n 20 /var/log/libvirt/qemu/web.log', check=False).out}")
            lab.expect(domains.listed(host)["web"] == ("-", "shut off"), f"{domains.listed(host)}")
            lab.expect("running" in host.run(f"virsh -c {other} domstate web").out, "the other libvirt does not run it")
            lab.witness(host, (web,), start)

        with lab.case("shut down by its agent"):
            host.run(f"virsh -c {other} shutdown web --mode agent", timeout=60)
            # one that came by a migration is not kept by it
            until(host, f"! virsh -c {other} list --name | grep -qx web", 120)
