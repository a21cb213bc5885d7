# SPDX-License-Identifier: GPL-2.0-or-later
"""A host VM that Ansible reaches: sshd and Python, which the image does not have, and a forwarded port of the build machine's loopback.

    with ssh.Door() as door, lab.host(files=ssh.files(), qemu_args=door.args("one")) as host:
        door.open("one", host)
        door.play("luctl.host.rolling", log, rolling_kernel=…)

The VM's network is QEMU's own: from outside nothing but that port leads into it, and nothing leads out. It is the host's as on any host: a unit sets
the card up, so it is there again after a jump, and sshd with it.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from . import domains, install, paths
from .say import Failed

PACKAGES = ["openssh-server", "python3"]
# of the build machine
TOOLS = ["ansible-core", "openssh-client"]
NETWORK = """[Unit]
Description=The host's network
Before=network.target
IgnoreOnIsolate=yes
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/lib/lab/network
[Install]
WantedBy=multi-user.target
"""
# udev may be giving the card another name just then
SCRIPT = """card() {
	for path in /sys/class/net/*/device; do path=${path%/device}; echo "${path##*/}"; done
}
until ip addr replace 10.0.2.15/24 dev "$(card)" && ip link set "$(card)" up; do sleep 0.5; done
"""
# Without PAM: a session of logind's takes some ten processes to start. Emulation is slow, so nobody is hurried.
SSHD = """HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
LoginGraceTime 300
Subsystem sftp internal-sftp
"""


def files():
    """What the host VM is to have in /lab."""
    return domains.packages(PACKAGES)


class Door:
    """The build machine's side: a key, the hosts' ports and public keys, an inventory of them."""

    def __init__(self):
        self._ports, self._rows = {}, []

    def __enter__(self):
        install.more(TOOLS)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="luctl-ssh-"))       # short: paths of sockets are limited
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.folder / "key"], check=True, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        # a connection that is kept open for the next command would outlive us by some seconds
        for path in (self.folder / "cp").glob("*"):
            subprocess.run(["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "host"], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def args(self, name):
        """What the host VM is to be started with."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._ports[name] = free.getsockname()[1]
        return ["-netdev", f"user,id=door,restrict=on,hostfwd=tcp:127.0.0.1:{self._ports[name]}-10.0.2.15:22", "-device", "virtio-net-pci,netdev=door,romfile="]

    def open(self, name, host):
        """Set up network and sshd in it, and wait until a login works; the next inventory has it."""
        domains.unpack(host)
        host.put("/usr/lib/lab/network", SCRIPT, mode="644")
        host.put("/etc/systemd/system/lab-network.service", NETWORK, mode="644")
        host.put("/etc/ssh/sshd_config", SSHD, mode="644")
        host.put("/etc/ssh/authorized_keys", (self.folder / "key.pub").read_text(), mode="600")
        host.run("rm -f /etc/init.d/ssh; systemd-sysusers; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/host_key; systemctl daemon-reload; systemctl enable --now lab-network.service ssh.service",
                 timeout=300)
        public = " ".join(host.run("cat /etc/ssh/host_key.pub").out.split()[:2])
        port = self._ports[name]
        with open(self.folder / "known_hosts", "a") as known:
            known.write(f"[127.0.0.1]:{port} {public}\n")
        self._rows.append(f"{name} ansible_host=127.0.0.1 ansible_port={port}")
        options = f"-F none -o IdentitiesOnly=yes -o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=yes"
        (self.folder / "inventory").write_text("\n".join([*self._rows, "[all:vars]", "ansible_user=root", f"ansible_ssh_private_key_file={self.folder}/key",
                                                          "ansible_python_interpreter=/usr/bin/python3", f"ansible_ssh_common_args={options}"]) + "\n")
        done = self._ansible("ansible", name, "-m", "ansible.builtin.ping", timeout=600)
        if done.returncode:
            raise Failed(f"ssh into host {name}: {done.stdout}{done.stderr}\n{host.run('systemctl status ssh lab-network; ip addr; ss -ltn', check=False)}")

    def _ansible(self, program, *argv, timeout):
        (self.folder / "ansible.cfg").touch()
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        env.update(ANSIBLE_COLLECTIONS_PATH=str(paths.TREE / "docs/ansible"), ANSIBLE_CONFIG=str(self.folder / "ansible.cfg"), ANSIBLE_HOME=str(self.folder / "home"),
                   ANSIBLE_SSH_CONTROL_PATH_DIR=str(self.folder / "cp"), ANSIBLE_PIPELINING="1", ANSIBLE_TIMEOUT="60", ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
        argv = [program, "-i", self.folder / "inventory", *argv]
        # a group of its own, since each host has a process of Ansible's
        with subprocess.Popen(argv, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def play(self, playbook, log, timeout=2400, **variables):
        """Exit code, and what was said, which @log gets, too."""
        done = self._ansible("ansible-playbook", playbook, "-vv", "-e", json.dumps(variables), timeout=timeout)
        log.write_text(f"{done.stdout}\n{done.stderr}")
        return done.returncode, done.stdout + done.stderr
