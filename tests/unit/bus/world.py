# SPDX-License-Identifier: GPL-2.0-or-later
"""A host for one test: a private bus, /run, /etc/luctl and a pkernfs of its own, luctld, monitors and callers.

The process must already be in name spaces of its own (run-bus sees to that): what is mounted and started here
goes away with them. Everything that a test writes lies below /run.
"""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import jsonschema
from gi.repository import GLib

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[2] if (HERE.parents[2] / "schemas").is_dir() else pathlib.Path(os.environ["MESON_SOURCE_ROOT"])
SCHEMAS = TREE / "schemas"
EXAMPLES = SCHEMAS / "examples"

RUN = pathlib.Path("/run/luctl")
PKERNFS = RUN / "pkernfs"
ETC = pathlib.Path("/etc/luctl")
VAR = pathlib.Path("/var/lib/luctl")
SCRATCH = pathlib.Path("/run/test")
NOBODY = 65534

NAME, ROOT = "org.luctl1", "/org/luctl1"
MANAGER, JOB, VM, PROPERTIES = "org.luctl1.Manager", "org.luctl1.Job", "org.luctl1.VM", "org.freedesktop.DBus.Properties"
# the replies that are documents, and the schemas of these
DOCUMENTS = {"Check": "check", "Plan": "plan", "GetStatus": "status", "ListVMs": "vm-list", "DescribeVM": "vm-info", "GetReport": "report",
             "GetReportOf": "report", "ListReports": "report-list"}

# errnos that libsystemd sends by a name of D-Bus's own
OF_DBUS = {"FileNotFound": "ENOENT", "InvalidArgs": "EINVAL", "AccessDenied": "EACCES", "NoMemory": "ENOMEM", "FileExists": "EEXIST",
           "Timeout": "ETIMEDOUT", "IOError": "EIO", "NotSupported": "EOPNOTSUPP", "LimitsExceeded": "ENOBUFS",
           "InconsistentMessage": "EBADMSG", "AddressInUse": "EADDRINUSE", "UnixProcessIdUnknown": "ESRCH"}
KERNEL = pathlib.Path("/sys/kernel")
SYSFS = pathlib.Path("/sys/bus/pci/devices")

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus"/></policy>
<policy user="root"><allow own="*"/><allow send_type="method_call"/></policy>
<include>{policy}</include></busconfig>
"""


class Skip(Exception):
    """The case can't be run here; says why."""


class BusError(Exception):
    """What a call was answered with instead of a reply."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message
        self.what, _, self.hint = message.partition("\n")
        self.errno = OF_DBUS.get(name.removeprefix("org.freedesktop.DBus.Error."), name.removeprefix("System.Error."))


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def interface():
    """(interface, member) → (kind, signature in, signature out) of schemas/org.luctl1.xml."""
    return interface_of((SCHEMAS / "org.luctl1.xml").read_text())


def interface_of(xml):
    found = {}
    for i in ET.fromstring(xml).iter("interface"):
        for m in i:
            if m.tag in ("method", "signal", "property") and i.get("name").startswith(NAME):
                args = [(a.get("direction", "out"), a.get("type"), a.get("name")) for a in m.iter("arg")]
                found[i.get("name"), m.get("name")] = (m.tag, m.get("type"), m.get("access"), args)
    return found


def managed(caller):
    """What the ObjectManager has: path → interface → property → value."""
    return caller.call("GetManagedObjects", path=ROOT, of="org.freedesktop.DBus.ObjectManager", kind="()")


def signature(member, of=MANAGER):
    return "(" + "".join(kind for way, kind, _ in interface()[of, member][3] if way == "in") + ")"


def validator(kind):
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{kind}.schema.json").read_text()))


def variants(options):
    """A dictionary of plain values as a{sv} has them."""
    kinds = {str: "s", bool: "b", list: "as"}
    return {k: v if isinstance(v, GLib.Variant) else GLib.Variant(kinds[type(v)], v) for k, v in options.items()}


class Caller:
    """A client of the bus. call() waits; begin() and end() let several wait at once, each with a caller of its own."""

    def __init__(self, world, uid=0):
        source = (HERE / "caller.py").read_text()
        rights = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        self.process = subprocess.Popen([*rights, sys.executable, "-c", source, world.address], cwd="/", text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        world.processes.append(self.process)
        self.name = self._answer()["name"]

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, "the caller's process has ended"
        return json.loads(line)

    def begin(self, method, *args, path=ROOT, of=MANAGER, kind=None, destination=NAME, timeout=30, interactive=False,
              files=()):
        """@kind: the arguments' signature, where it is not to be that of the XML. @files: paths that the caller opens; args name
        them by Variant("h", index)."""
        if kind is None:
            kind = signature(method, of)
        values = tuple(variants(a) if isinstance(a, dict) else a for a in args)
        self.process.stdin.write(json.dumps({
            "destination": destination, "path": path, "interface": of, "method": method, "timeout": timeout,
            "interactive": interactive, "files": [str(f) for f in files], "args": GLib.Variant(kind, values).print_(True)}) + "\n")
        self.process.stdin.flush()

    def end(self):
        answer = self._answer()
        if "error" in answer:
            raise BusError(answer["error"], answer["message"])
        values = GLib.Variant.parse(None, answer["reply"], None, None).unpack()
        return values[0] if len(values) == 1 else values or None

    def waits(self):
        """Is there no answer yet to what was begun?"""
        return not select.select([self.process.stdout], [], [], 0)[0]

    def call(self, method, *args, **how):
        self.begin(method, *args, **how)
        return self.end()

    def fails(self, method, *args, **how):
        """The error that a call is answered with; a reply is a failure of the test."""
        try:
            got = self.call(method, *args, **how)
        except BusError as error:
            return error
        raise AssertionError(f"{method}{args!r:.200} was answered: {got!r:.200}")

    def document(self, method, *args, **how):
        """A reply that is a document, parsed and judged by its schema."""
        return self.document_of(method, self.call(method, *args, **how))

    @staticmethod
    def document_of(method, text):
        document = json.loads(text)
        wrong = [f"{e.json_path}: {e.validator} {e.validator_value!r:.80}: {e.instance!r:.80}"
                 for e in validator(DOCUMENTS[method]).iter_errors(document)]
        assert not wrong, f"{method}: against its schema: {wrong}"
        return document

    def outcome(self):
        """The reply that is waited for, or the error."""
        try:
            return self.end()
        except BusError as error:
            return error.errno

    def property(self, name, path=ROOT, of=MANAGER):
        return self.call("Get", of, name, path=path, of=PROPERTIES, kind="(ss)")

    def finished(self, job, seconds=60):
        """The result of a job, once it has one."""
        return wait_for(lambda: self.property("Result", job, JOB), f"{job} finishes", seconds)


class Daemon:
    """luctld. Its end is judged: stop() wants exit code 0 and no word from a sanitizer."""

    def __init__(self, world, number, more):
        self.world = world
        self.log = SCRATCH / f"luctld.{number}.log"
        env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": world.address, "LD_PRELOAD": world.shim, "LUCTL_TEST_PKERNFS": str(PKERNFS),
               "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:verify_asan_link_order=0",
               "UBSAN_OPTIONS": "print_stacktrace=1", **more}
        # nothing that is tested here may boot the machine that it is tested on
        rights = ["setpriv", "--bounding-set=-sys_boot", "--inh-caps=-sys_boot"]
        with open(self.log, "w") as out:
            self.process = subprocess.Popen([*rights, world.luctld], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
        world.processes.append(self.process)

    def text(self):
        return self.log.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def is_up(self):
        assert self.alive(), f"luctld ended with {self.process.returncode}:\n{self.text()[-3000:]}"
        try:    # not whether anybody has the name: one that was killed has it until the bus has noticed
            return self.process.pid == self.world.root.call("GetConnectionUnixProcessID", NAME, destination="org.freedesktop.DBus",
                                                            path="/org/freedesktop/DBus", of="org.freedesktop.DBus", kind="(s)")
        except BusError:
            return False

    def complaints(self):
        return re.findall(r"^.*(?:ERROR: (?:Address|Leak)Sanitizer|SUMMARY: |runtime error:).*$", self.text(), re.M)

    def stop(self, seconds=60):
        assert self.alive(), f"luctld had ended with {self.process.returncode} before it was stopped:\n{self.text()[-3000:]}"
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"luctld does not stop within {seconds} s:\n{self.text()[-2000:]}") from None
        assert code == 0 and not self.complaints(), f"luctld's end: exit code {code}\n{self.text()[-6000:]}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        assert not self.complaints(), self.text()[-6000:]


class World:
    def __init__(self, luctld, shim):
        self.luctld, self.shim = luctld, shim
        self.processes, self.daemons = [], []
        self.daemon = None
        for place in (RUN, ETC, VAR, SCRATCH):
            for entry in place.iterdir():
                if entry.is_mount():
                    subprocess.run(["umount", entry], check=True)
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        for folder in (PKERNFS, RUN / "vm", RUN / "resumed", ETC / "vms.d"):
            folder.mkdir(parents=True)
        self.mount()
        self.settings("[update]\nquiesce=no\nfreeze=no\n")
        (KERNEL / "kexec_loaded").write_text("0\n")
        path = SCRATCH / "bus"
        (SCRATCH / "bus.conf").write_text(BUS_CONFIG.format(socket=path, policy=TREE / "systemd" / "org.luctl1.conf"))
        self.address = f"unix:path={path}"
        with open(SCRATCH / "bus.log", "w") as out:
            self.run(["dbus-daemon", f"--config-file={SCRATCH}/bus.conf", "--nofork", "--nopidfile"], stdout=out, stderr=out)
        wait_for(path.exists, "the bus")
        path.chmod(0o666)
        self.root = Caller(self)

    # --- what is there ---

    def mount(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=1g", "pkernfs", PKERNFS], check=True)

    def umount(self):
        subprocess.run(["umount", "-l", PKERNFS], check=True)

    def settings(self, text):
        (ETC / "luctld.conf").write_text(text)

    def socket_of(self, name):
        return RUN / "vm" / name / "qmp.sock"

    def target(self, incompat=0):
        """A target that this host can jump into, as far as the daemon can see, and the options for it. @incompat: features of pkernfs that
        it knows. Nothing is loaded or booted:
        kexec says that it has, and reboot(2) is not allowed here. Only for topics that run-bus has covered the host's programs for."""
        folder = SCRATCH / "target"
        folder.mkdir()
        subprocess.run([os.environ["LUCTL_TEST_WRITE_IMAGE"], folder, str(incompat)], check=True)
        for name in ("notes", "debug", "boot_params"):          # debug: the machine's own KVM guests are no strangers here
            (KERNEL / name).unlink(missing_ok=True)
        shutil.copy(folder / "notes", KERNEL / "notes")
        for path in ("/usr/sbin/kexec", "/usr/lib/luctl/lu-init"):
            pathlib.Path(path).write_text("#!/bin/sh\n")
            os.chmod(path, 0o755)
        modules = pathlib.Path("/usr/lib/modules")
        if not (modules / "7.3.4-lu").exists():
            modules.unlink(missing_ok=True)
            (modules / "7.3.4-lu").mkdir(parents=True)
        # file systems of the machine are not to be synced for a test
        for line in open("/proc/self/mounts", encoding="utf-8"):
            source, place = line.split()[:2]
            if source.startswith("/dev/"):
                subprocess.run(["mount", "-o", "remount,bind,ro", place], check=False, capture_output=True)
        return str(folder / "vmlinuz"), {"no-initrd": True, "trial": "no"}

    def hook(self, state, script):
        """A hook of the administrator's that runs @script (of a shell) in this state of an update. There is no systemd to run it."""
        if not pathlib.Path("/usr/bin/systemd-run").exists():
            raise Skip("no systemd-run here")
        runner = SCRATCH / "systemd-run"
        if not runner.exists():
            runner.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
            runner.chmod(0o755)
            subprocess.run(["umount", "/usr/bin/systemd-run"], check=False, capture_output=True)      # a case's before
            subprocess.run(["mount", "--bind", runner, "/usr/bin/systemd-run"], check=True)
        (ETC / "hooks.d").mkdir(exist_ok=True)
        path = ETC / "hooks.d" / f"at-{state}"
        path.write_text(f'#!/bin/sh\n[ "$1" = {state} ] || exit 0\n{script}\n')
        path.chmod(0o755)

    def define(self, name, number=1, **more):
        """Declare a VM; its UUID."""
        uuid = f"6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c{number:04x}"
        document = {"version": 1, "name": name, "uuid": uuid, "qmp": str(self.socket_of(name)), **more}
        (ETC / "vms.d" / f"{name}.json").write_text(json.dumps(document))
        return uuid

    @staticmethod
    def example(kind, name, /, **changes):
        """A valid example of a schema, with some keys changed."""
        return {**json.loads((EXAMPLES / kind / f"{name}.json").read_text()), **changes}

    def save(self, uuid, file, value):
        """A file of a VM's folder in pkernfs; @value: bytes, or a document's dictionary."""
        folder = PKERNFS / "vm" / uuid
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())

    # --- who is there ---

    def run(self, argv, **how):
        process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, **how)
        self.processes.append(process)
        return process

    def follow(self):
        """docs/examples/follow.py, which prints what signals tell; end() waits for it."""
        process = subprocess.Popen([sys.executable, TREE / "docs/examples/follow.py", self.address], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TREE / "python")}, cwd="/")
        self.processes.append(process)
        return process

    def monitor(self, name, words=(), **behaviour):
        """A process that listens at the VM's socket as a QEMU that is well, but for @behaviour (monitor.py); @words: of QEMU's options."""
        place = self.socket_of(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        config = SCRATCH / f"monitor.{name}.json"
        config.write_text(json.dumps({"socket": str(place), **behaviour}))
        process = self.run([sys.executable, HERE / "monitor.py", config, *words])
        wait_for(place.exists, f"the monitor of {name}")
        return process

    @staticmethod
    def functions(*addresses):
        """PCI functions of this host, and no others; each has a mark that it goes on over the jump."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "functions", SYSFS], check=True)
        for address in addresses:
            (SYSFS / address).mkdir()
            (SYSFS / address / "pkeep").write_text("0")

    def domain(self, name, number, qemu, policy="required"):
        """libvirt's status file of the QEMU that qemu() has started: a guest of libvirt's, with its monitor; its path."""
        text = (TREE / "tests/unit/daemon/libvirt/red.xml").read_text()
        for was, now in ((r"pid='209'", f"pid='{qemu.pid}'"), (r"path='/var/lib/libvirt/qemu/domain-1-red/monitor.sock'", f"path='{self.socket_of(name)}'"),
                         (r"11111111-2222-3333-4444-555555555501", f"6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c{number:04x}"), (r">red<", f">{name}<"),
                         (r"1-red'", f"{number}-{name}'"), (r"(?s)<disk .*?</disk>", ""), (r"<device alias='[^']*'/>", ""),
                         (r"<memory ", f"<metadata><l:update xmlns:l='urn:luctl:1' policy='{policy}'/></metadata><memory ")):
            text = re.sub(was, now, text)
        path = pathlib.Path(f"/run/libvirt/qemu/{name}.xml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def qemu(self, name, number=1, memory=16, more=(), folder="ram"):
        """A real QEMU (TCG, no guest but its firmware) with its memory in what luctld takes for pkernfs."""
        program = shutil.which("qemu-system-x86_64")      # not another one's by way of a loader: its words are compared with its disks
        if not program:
            raise Skip("no qemu-system-x86_64 here")
        place = self.socket_of(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        (PKERNFS / folder).mkdir(parents=True, exist_ok=True)
        uuid = f"6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c{number:04x}"
        process = self.run([program, "-nodefaults", "-display", "none", "-M", "q35,memory-backend=ram0", "-accel", "tcg", "-uuid", uuid,
                            "-object", f"memory-backend-file,id=ram0,size={memory}M,mem-path={PKERNFS}/{folder}/{name},share=on",
                            "-m", str(memory), "-qmp", f"unix:{place},server=on,wait=off", *more], cwd="/")

        def listens():
            assert process.poll() is None, f"QEMU ended with {process.returncode}"
            with socket.socket(socket.AF_UNIX) as s:
                return s.connect_ex(str(place)) == 0
        wait_for(listens, f"the QEMU of {name}", 120)
        return process

    def polkit(self, answer):
        """A polkit that says yes, no, challenge or garbage, is silent, or says yes later, when SCRATCH/polkit.yes is there; the list of what it was asked."""
        log = SCRATCH / "polkit"
        log.write_text("")
        self._service("org.freedesktop.PolicyKit1", "polkit", answer, log)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    def logind(self, *inhibitors):
        """A logind with these inhibitors: (what, who, why, mode, pid) each."""
        self._service("org.freedesktop.login1", "logind", json.dumps(inhibitors))

    def systemd(self, version, units=None, **stores):
        """A systemd that says no more than which descriptors it keeps: unit without ".service" → (number, FileDescriptorStorePreserve),
        and in which state others are: unit → ActiveState, which set_units() changes. The list of what it was asked for: of each transient
        unit, which it has refused, the name and the words; of a scope the name and its processes; of one to be stopped the name."""
        log = SCRATCH / "transient"
        log.write_text("")
        self.set_units(units or {})
        self._service("org.freedesktop.systemd1", "systemd", version, json.dumps({f"{unit}.service": of for unit, of in stores.items()}), log,
                      SCRATCH / "units.json")
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    @staticmethod
    def set_units(units):
        (SCRATCH / "units.json.new").write_text(json.dumps(units))
        (SCRATCH / "units.json.new").rename(SCRATCH / "units.json")

    def _service(self, name, *arguments):
        self.run([sys.executable, HERE / "service.py", self.address, *arguments])
        wait_for(lambda: self.root.call("NameHasOwner", name, destination="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                                        of="org.freedesktop.DBus", kind="(s)"), name)

    def caller(self, uid=NOBODY):
        return Caller(self, uid)

    def launch(self, **env):
        """luctld, not waited for."""
        self.daemon = Daemon(self, len(self.daemons), env)
        self.daemons.append(self.daemon)
        return self.daemon

    def start(self, **env):
        """luctld, once its name is on the bus."""
        self.launch(**env)
        wait_for(self.daemon.is_up, "luctld", 60)
        return self.daemon

    def restart(self, **env):
        self.daemon.kill()
        return self.start(**env)

    # --- the end ---

    def logs(self):
        return "".join(f"--- {d.log.name}\n{d.text()[-4000:]}" for d in self.daemons if d.log.exists())

    def end(self, judge=True):
        try:
            if judge and self.daemon and self.daemon.process.returncode is None:
                self.daemon.stop()
        finally:
            for process in reversed(self.processes):
                if process.poll() is None:
                    process.kill()
                process.wait()
