# SPDX-License-Identifier: GPL-2.0-or-later
"""The host VM: the hypervisor host under test, started, driven and always ended.

    with Host(kernel.build("7.3"), image.disk(), results) as host:
        host.wait_up()
        r = host.run("luctl status --json")
        host.jump("luctl update --kernel /lab/bzImage-7.3-b")
        host.guest[0].wait("TICK", 10)

Serial lines: ttyS0 is the host's console; the guests' are `host.tty(n)`, read here as `host.guest[n]`. The first three are ISA ports, the others
PCI ones; all exist before the first process runs, so an early init can hand them to a VMM. `files` (name → path here) appear read-only in /lab.
`emulator` is another program than the machine's QEMU (qemu.py).

Life: start → wait_up → any number of run / jump → stop. stop() is called by the context manager, at exit, and by the kernel (parent death signal) if this
process is killed. A host VM that dies by itself (panic, power-off) makes the next call fail with the end of its console.
"""

import atexit
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from . import paths
from .agent import Agent, AgentError
from .console import Console, Pump
from .say import run as run_logged

CMDLINE = "console=ttyS0 root=/dev/vda rw rootfstype=ext4 quiet panic=-1 kho=on liveupdate=on kho_scratch=64M,128M,64M intel_iommu=on " \
          "mitigations=off tsc=reliable no_timer_check pty.legacy_count=0"


# VT-d's tables: what there was first, and the scalable mode's second and first stage
VTD = {"legacy": "", "second": ",x-scalable-mode=on", "first": ",x-scalable-mode=on,x-flts=on"}


class HostError(Exception):
    """The host VM did not do what it was told; the text says what and shows what is known."""


class Result:
    """What a command in the host VM came to."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.seconds = command, code, seconds
        self.out, self.err = out.decode(errors="replace"), err.decode(errors="replace")

    def __str__(self):
        return f"`{self.command}` → {self.code} in {self.seconds:.2f} s\n{self.out}{self.err}".rstrip()


def _die_with_parent():
    os.setpgid(0, 0)    # the terminal's Ctrl-C is ours to handle; a session of its own would get a share of the CPU of its own
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Host:
    def __init__(self, kernel, disk, results, memory="4G", guests=3, cmdline="", files=None, qemu_args=(), vtd="legacy", emulator=None):
        self.kernel, self.disk, self.memory = kernel, disk, memory
        self.results = pathlib.Path(results)
        self.results.mkdir(parents=True, exist_ok=True)
        self.cmdline = f"{CMDLINE} {cmdline}".strip()
        self.files = dict(files or {})
        self._qemu_args, self._vtd = list(qemu_args), VTD[vtd]
        self._emulator = str(emulator or os.environ.get("LUCTL_QEMU", "qemu-system-x86_64"))
        self._work = pathlib.Path(tempfile.mkdtemp(prefix="luctl-host-"))   # short: socket paths are limited
        self._proc = None
        self._boot = None
        self.pump = Pump()
        self.console = Console("host", self.results / "host.log", self.pump.clock)
        self.guest = [Console(f"guest{n}", self.results / f"guest{n}.log", self.pump.clock) for n in range(guests)]
        self.agent = Agent(self._work / "agent")
        atexit.register(self.stop)

    # -- life

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @staticmethod
    def tty(n):
        """The guest's serial line as the host VM sees it."""
        return f"/dev/ttyS{n + 1}"

    def _serial_args(self):
        lines = [self.console] + self.guest
        args = []
        for n, console in enumerate(lines):
            self.pump.listen(console, self._work / f"s{n}")
            args += ["-chardev", f"socket,id=s{n},path={self._work}/s{n}"]
            if n < 4:
                args += ["-serial", f"chardev:s{n}"]
        more = len(lines) - 4
        for card in range((more + 3) // 4):
            ports = [f"chardev{p + 1}=s{4 + card * 4 + p}" for p in range(4) if card * 4 + p < more]
            if len(ports) == 1:
                args += ["-device", "pci-serial," + ports[0].replace("chardev1", "chardev")]
                continue
            for p in range(len(ports), 4):
                args += ["-chardev", f"null,id=n{card}{p}"]
                ports.append(f"chardev{p + 1}=n{card}{p}")
            args += ["-device", "pci-serial-4x," + ",".join(ports)]
        return args

    def _files_disk(self):
        stage = self._work / "files"
        stage.mkdir()
        size = 4 << 20
        for name, path in self.files.items():
            shutil.copy(path, stage / name)
            size += (stage / name).stat().st_size * 5 // 4
        image = self._work / "files.img"
        run_logged(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "files", "-d", stage, image, f"{size >> 10}k"], self.results / "files.log")
        shutil.rmtree(stage)
        return image

    def start(self):
        args = [self._emulator, "-nodefaults", "-display", "none", "-no-reboot",
                "-M", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt", "-smp", "2", "-m", self.memory,
                "-device", f"intel-iommu,intremap=on,caching-mode=off{self._vtd}",
                "-drive", f"file={self.disk},if=none,id=root,format=raw,snapshot=on,cache=unsafe", "-device", "virtio-blk-pci,drive=root",
                "-drive", f"file={self._files_disk()},if=none,id=files,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=files",
                "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={self._work}/agent,server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                # why a CPU was reset, should the host VM end without a word of its own
                "-d", "cpu_reset", "-D", str(self.results / "reset.log"),
                "-qmp", f"unix:{self._work}/qmp,server=on,wait=off",
                *self._serial_args(), "-kernel", str(self.kernel), "-append", self.cmdline, *self._qemu_args]
        (self.results / "host.cmd").write_text(" ".join(args) + "\n")
        self._errors = open(self.results / "qemu.log", "wb")
        self._proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self._errors, stderr=self._errors, preexec_fn=_die_with_parent,
                                      env=dict(os.environ, TMPDIR=str(paths.cache("tmp"))))

    def stop(self):
        if self._proc and self._proc.poll() is None:
            self._proc.kill()
            self._proc.wait()
        self.agent.close()
        self.pump.stop()
        shutil.rmtree(self._work, ignore_errors=True)
        atexit.unregister(self.stop)

    def alive(self):
        return self._proc is not None and self._proc.poll() is None

    def _dead(self, doing):
        state = "still runs" if self.alive() else f"has ended ({self._proc.returncode}: {(self.results / 'qemu.log').read_text().strip()})"
        return HostError(f"{doing}; the host VM {state}; its console's end:\n{self.console.tail()}")

    def wait_up(self, timeout=600, system=True):
        """Until an agent of a boot not seen before answers, and systemd has finished starting. Returns L0's time of it."""
        end = time.monotonic() + timeout
        while True:
            if not self.alive():
                raise self._dead("waiting for the host VM to come up")
            try:
                self.agent.lost()
                self.agent.sync(2)
                boot = self._execute("cat /proc/sys/kernel/random/boot_id", 10).out.strip()
                if boot != self._boot:
                    break
            except (AgentError, OSError):
                pass
            time.sleep(0.2)
            if time.monotonic() > end:
                raise self._dead(f"no agent of a new boot within {timeout} s")
        self._boot = boot
        now = self.pump.clock()
        if system:
            self.run("systemctl is-system-running --wait", check=False, timeout=max(10, end - time.monotonic()))
        return now

    # -- doing things in it

    def _execute(self, command, timeout, stdin=b""):
        start = time.monotonic()
        pid = self.agent.spawn(["/bin/sh", "-c", command], stdin)
        pause = 0.01
        while True:
            state = self.agent.status(pid)
            if state:
                return Result(command, *state, time.monotonic() - start)
            if time.monotonic() - start > timeout:
                self.agent.command("guest-exec", path="/bin/kill", arg=["-KILL", str(pid)])
                raise HostError(f"`{command}` did not end within {timeout} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def run(self, command, check=True, timeout=60, stdin=b""):
        """Run a shell command to its end. With check, an exit code other than 0 is an error that shows all it printed."""
        try:
            result = self._execute(command, timeout, stdin)
        except (AgentError, OSError) as error:
            raise self._dead(f"`{command}`: {error}") from None
        if check and result.code:
            raise HostError(str(result))
        return result

    def spawn(self, command):
        """Start a shell command and leave it running."""
        return self.agent.spawn(["/bin/sh", "-c", command])

    def put(self, path, data, mode=None):
        if isinstance(data, pathlib.Path):
            data = data.read_bytes()
        self.agent.write_file(path, data.encode() if isinstance(data, str) else data)
        if mode:
            self.run(f"chmod {mode} '{path}'")

    def get(self, path):
        return self.agent.read_file(path)

    def release(self):
        return self.run("uname -r").out.strip()

    def boot_id(self):
        return self._boot

    def jump(self, command, timeout=900, system=True):
        """Run a command that is to end in a kexec. Returns (None, time up) once another boot answers, (Result, None) if it ended without one."""
        pid = self.agent.spawn(["/bin/sh", "-c", command])
        start = time.monotonic()
        while time.monotonic() - start < timeout:
            try:
                state = self.agent.status(pid)
                if state:
                    # an ordinary end; or the jump is under way and the command was stopped with everything else
                    time.sleep(0.5)
                    self.agent.sync(3)
                    if self._execute("cat /proc/sys/kernel/random/boot_id", 5).out.strip() == self._boot:
                        return Result(command, *state, time.monotonic() - start), None
                    break
            except (AgentError, OSError):
                break
            time.sleep(0.2)
        return None, self.wait_up(timeout - (time.monotonic() - start), system)
