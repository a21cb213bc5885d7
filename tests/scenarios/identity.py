# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest is held to is the same after two updates: limits of its unit, user, capabilities, scheduling, I/O priority, coredump filter, timer slack, and what its QEMU sees."""

from lab import guests

KERNELS = ["7.3"]
LIMIT = 900

DROPIN = """[Service]
MemoryMax=700M
MemoryLow=16M
CPUWeight=250
CPUQuota=180%
AllowedCPUs=1
TasksMax=222
Nice=3
IOSchedulingClass=best-effort
IOSchedulingPriority=2
CoredumpFilter=private-anonymous elf-headers
NUMAPolicy=bind
NUMAMask=0
"""
PROPERTIES = ["MemoryMax", "MemoryLow", "CPUWeight", "CPUQuotaPerSecUSec", "AllowedCPUs", "TasksMax", "DevicePolicy", "DeviceAllow"]
STATUS = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Cpus_allowed_list"]


def properties(host, unit):
    """Name → values, sorted: a list has a line for each."""
    found = {}
    for row in host.run(f"systemctl show {unit} " + " ".join(f"-p {p}" for p in PROPERTIES)).out.splitlines():
        key, _, value = row.partition("=")
        found[key] = sorted([*found.get(key, []), value])
    return found


def below(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def mounts(host, pid):
    """path → flags and type, of those that can be reached: what the host mounts later slips in below what is private.
    (A file of the unit's own control group is the unit's, not the guest's.)"""
    rows = {}
    for words in map(str.split, host.run(f"cat /proc/{pid}/mountinfo").out.splitlines()):
        # a private directory for what is temporary is made anew in memory
        kind = words[words.index("-") + 1] if words[4] not in ("/tmp", "/var/tmp") else "temporary"
        rows[words[0]] = (words[1], words[4], (words[5], kind))

    def hidden(number):
        if any(up == number and path == rows[number][1] for up, path, _ in rows.values()):
            return True
        while rows[number][0] in rows:
            own = rows[number]
            if any(up == own[0] and path != own[1] and below(own[1], path) for up, path, _ in rows.values()):
                return True
            number = own[0]
        return False
    return {path: what for number, (_, path, what) in rows.items() if what[1] != "autofs" and "memory.pressure" not in path and not hidden(number)}


def look(host, pid):
    """What can be told of a process."""
    status = dict(r.split(":", 1) for r in host.run(f"cat /proc/{pid}/status").out.splitlines() if ":" in r)
    stat = host.run(f"cat /proc/{pid}/stat").out.rpartition(")")[2].split()
    limits = host.run(f"cat /proc/{pid}/limits").out
    return {**{key: status[key].split() for key in STATUS}, "nice": stat[16], "policy": stat[38], "limits": limits,
            "oom": host.run(f"cat /proc/{pid}/oom_score_adj").out.strip(), "io": host.run(f"ionice -p {pid}").out.strip(),
            **{name: host.run(f"cat /proc/{pid}/{name}").out.strip() for name in ("coredump_filter", "timerslack_ns")}}


def tries(host, pid):
    """What the process could do where it is, tried by another one with its user in its namespace."""
    inside = f"nsenter -t {pid} -m setpriv --reuid luctl-vm --regid luctl-vm --clear-groups "
    def can(what):
        return host.run(inside + what, check=False).code == 0
    return {"root": can("touch /etc/x"), "tmp": can("sh -c 'touch /tmp/x && rm /tmp/x'"), "others": host.run(f"nsenter -t {pid} -m ls /run/luctl/pkernfs/ram").out.split(),
            "own": can("test -w /run/luctl/pkernfs/ram/red/ram0"), "records": can("ls /run/luctl/pkernfs/vm"), "modules": can("ls /usr/lib/modules/"),
            "sysctl": host.run(f"nsenter -t {pid} -m sh -c 'echo 1 > /proc/sys/vm/overcommit_memory'", check=False).code == 0,
            "processes": host.run(inside + "ls /proc").out.split().count("1")}


def pid_of(host, name, lab):
    return next(vm["pid"] for vm in lab.ask(host, "vm list")["vms"] if vm["name"] == name)


def run(lab):
    with lab.host() as host:
        red, blue = guests.Ticker("red", 1, 64), guests.Ticker("blue", 2, 64)
        host.run(f"mkdir -p /etc/systemd/system/{red.unit}.d")
        host.put(f"/etc/systemd/system/{red.unit}.d/limits.conf", DROPIN, "644")
        lab.start(host, red, blue)
        pid = pid_of(host, "red", lab)
        # QEMU sets its own at its start
        host.run(f"echo 123000 > /proc/{pid}/timerslack_ns")
        held, process, seen, tried = properties(host, red.unit), look(host, pid), mounts(host, pid), tries(host, pid)

        with lab.case("the unit is what it says"):
            lab.say(f"{held}; {tried}; {len(seen)} mounts")
            lab.expect(held["MemoryMax"] == [str(700 << 20)] and held["AllowedCPUs"] == ["1"] and held["DevicePolicy"] == ["closed"] and len(held["DeviceAllow"]) > 5, f"{held}")
            lab.expect(set(process["CapPrm"] + process["CapBnd"] + process["CapAmb"]) == {"0" * 16} and process["NoNewPrivs"] == ["1"], f"{process}")
            lab.expect(process["Uid"][0] != "0" and process["nice"] == "3", f"{process}")
            lab.expect((process["io"], process["coredump_filter"], process["timerslack_ns"]) == ("best-effort: prio 2", "00000011", "123000"), f"{process}")
            lab.expect(tried == {"root": False, "tmp": True, "others": ["red"], "own": True, "records": False, "modules": False, "sysctl": False, "processes": 0}, f"{tried}")
        with lab.case("plan says what is lost"):
            plan = lab.ask(host, "plan")
            said = [f["what"] for f in plan["findings"] if f["object"] == "VM red"]
            lab.expect(any("not carried: the filter of system calls" in s for s in said), f"{plan['findings']}")
            lab.expect(any("not carried: its memory policy, bind:0" in s for s in said), f"{plan['findings']}")
            lab.expect(all(vm["verdict"] == "goes-along" and not vm["late"] for vm in plan["vms"]), f"{plan['vms']}")

        for number in (1, 2):
            with lab.case(f"after update {number} all of it is as it was"):
                lab.witness(host, [red, blue], lab.update(host, "7.3"))
                report = lab.ask(host, "report")
                lab.expect(all(v["by"] == "lu-init" for v in report["vms"]), f"{report['vms']}")
                pid = pid_of(host, "red", lab)
                lab.expect(properties(host, "luctl-vm-red.scope") == held, f"was {held}, is {properties(host, 'luctl-vm-red.scope')}")
                lab.expect(look(host, pid) == process, f"was {process}, is {look(host, pid)}")
                now = mounts(host, pid)
                differ = {path: (seen.get(path), now.get(path)) for path in {*seen, *now} if seen.get(path) != now.get(path)}
                lab.expect(not differ, f"seen otherwise (before, now): {differ}")
                lab.expect(tries(host, pid) == tried, f"was {tried}, is {tries(host, pid)}")
