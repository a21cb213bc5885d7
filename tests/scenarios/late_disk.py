# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's disk lies where something is mounted only half a minute after the host came up: the guest is tried again until it is there, and the update succeeds."""

from lab import guests

KERNELS = ["7.3"]
LIMIT = 900
SECONDS = 30

# In the kernel that the test begins in it is mounted at once.
UNIT = f"""[Unit]
Description=The late disk
IgnoreOnIsolate=yes
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '[ -e /run/at-once ] || sleep {SECONDS}; mount -o loop /var/lib/lab/late.img /srv/late'
[Install]
WantedBy=multi-user.target
"""


def run(lab):
    with lab.host() as host:
        web, red = guests.Linux("web", 0, 256), guests.Ticker("red", 1, 64)
        guests.prepare(host)
        host.put("/etc/systemd/system/late.service", UNIT, "644")
        host.put("/etc/systemd/system/luctl-vm@web.service.d/late.conf", "[Service]\nReadWritePaths=/srv/late\n", "644")
        host.run("mkdir -p /srv/late; truncate -s 48M /var/lib/lab/late.img; mkfs.ext4 -q /var/lib/lab/late.img; touch /run/at-once; "
                 "systemctl daemon-reload; systemctl enable --now late.service; chown luctl-vm: /srv/late")
        web.disk = "/srv/late/web.img"
        lab.start(host, web, red)
        vms = {vm["name"]: vm for vm in lab.ask(host, "plan")["vms"]}
        lab.expect(vms["web"]["verdict"] == "goes-along" and "mounted later" in (vms["web"]["late"] or ""), f"the plan says of web: {vms['web']}")
        start = lab.update(host, "7.3")
        spans = lab.witness(host, (web, red), start, limit=180)
        late, early = spans["web"].blackout()[0], spans["red"].blackout()[0]
        lab.say(f"red stood still for {early:.1f} s, web, whose disk came {SECONDS} s after the unit that mounts it was started, for {late:.1f} s")
        lab.expect(late > SECONDS > early, "web did not wait for its disk, or red did")
        said = host.run("journalctl -u luctld --no-pager -b").out
        lab.expect("VM web:" in said and "tried again in" in said, "nothing was tried again")
        lab.expect({vm["name"]: vm["result"] for vm in lab.ask(host, "report")["vms"]} == {"web": "running", "red": "running"}, "the report")
