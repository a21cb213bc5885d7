# SPDX-License-Identifier: LGPL-2.1-or-later
"""luctl over the bus: live update of a host's kernel under its guests, for programs.

    host = luctl.Host()
    plan = host.plan("/boot/vmlinuz-7.3.5-lu")
    if plan["ok"]:
        job = host.update("/boot/vmlinuz-7.3.5-lu", rehearse=True)
        print(job.wait(lambda state, detail: print(state, detail)))

Documents are dictionaries, as schemas/ describes them. A call waits for its answer. What goes on is told by signals in
GLib's default main context: Job.wait() runs it, a program with a main loop of its own uses Host.watch().
"""

import json
import os

from gi.repository import Gio, GLib

NAME, PATH = "org.luctl1", "/org/luctl1"
MANAGER, JOB, VM = "org.luctl1.Manager", "org.luctl1.Job", "org.luctl1.VM"
PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
TIMEOUT_MSEC = 660_000      # Check, and Update with its trial, take as long as they take


class Error(Exception):
    """What a call was answered with: its D-Bus name, what went wrong, and what to try (may be empty)."""

    def __init__(self, name, message):
        self.name = name
        self.what, _, self.hint = message.partition("\n")
        super().__init__(self.what)


class Gone(Error):
    """luctld went away, as it does when the host jumps."""

    def __init__(self):
        super().__init__("org.freedesktop.DBus.Error.NoReply", "luctld went away\nHost.status() tells once it is back")


class Host:
    """luctld of this host; @address: of another bus than the system's."""

    def __init__(self, address=None):
        try:
            if address:
                flags = Gio.DBusConnectionFlags
                self.bus = Gio.DBusConnection.new_for_address_sync(
                    address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
            else:
                self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
        except GLib.Error as error:
            raise Error("org.freedesktop.DBus.Error.NoServer", error.message) from None
        self.bus.set_exit_on_close(False)

    # --- calls ---

    def call(self, method, signature="()", *args, path=PATH, interface=MANAGER, files=()):
        """A method; a single value of the reply stands for itself. @files: descriptors that args name as "h"."""
        fds = Gio.UnixFDList()
        for fd in files:
            fds.append(fd)
        try:
            reply, _ = self.bus.call_with_unix_fd_list_sync(NAME, path, interface, method, GLib.Variant(signature, args), None,
                                                            Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION, TIMEOUT_MSEC, fds, None)
        except GLib.Error as error:
            name = Gio.DBusError.get_remote_error(error) or f"{error.domain}.{error.code}"
            raise Error(name, error.message.removeprefix(f"GDBus.Error:{name}: ")) from None
        values = reply.unpack()
        return values[0] if len(values) == 1 else values or None

    def document(self, *call, **how):
        return json.loads(self.call(*call, **how))

    def status(self):
        return self.document("GetStatus")

    def vms(self):
        return self.document("ListVMs")["vms"]

    def vm(self, name):
        return self.document("DescribeVM", "(s)", name)

    def report(self, update=None):
        """Of the last update, or of this one (the first characters of its id will do)."""
        return self.document("GetReportOf", "(s)", update) if update else self.document("GetReport")

    def reports(self):
        return self.document("ListReports")

    def _of_kernel(self, method, kernel, options):
        """Files are opened here and handed over, so that what the caller may read is what counts."""
        kinds = {str: "s", bool: "b", int: "t", list: "as"}
        files, values = [], {}
        try:
            for key, path in (("kernel-fd", kernel), ("initrd-fd", options.get("initrd"))):
                if path:
                    try:
                        files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
                    except OSError:
                        continue        # the daemon says what is wrong with it
                    values[key] = GLib.Variant("h", len(files) - 1)
            for key, value in options.items():
                values[key.replace("_", "-")] = GLib.Variant(kinds[type(value)], value)
            return self.call(method, "(sa{sv})", kernel, values, files=files)
        finally:
            for fd in files:
                os.close(fd)

    def check(self, kernel, **options):
        """Options as schemas/org.luctl1.xml names them, with _ for -: initrd=, cmdline=, exclude=[…], max_blackout=, …"""
        return json.loads(self._of_kernel("Check", kernel, options))

    def plan(self, kernel="", **options):
        return json.loads(self._of_kernel("Plan", kernel, options))

    def update(self, kernel, **options):
        return Job(self, self._of_kernel("Update", kernel, options))

    def update_vmm(self, *vms):
        return Job(self, self.call("UpdateVMM", "(as)", vms))

    def restore(self, vm):
        return Job(self, self.call("Restore", "(s)", vm))

    def abort(self):
        self.call("Abort")

    def job(self):
        """The job that is under way, whoever has begun it; None: there is none."""
        path = self.call("Get", "(ss)", MANAGER, "Job", path=PATH, interface=PROPERTIES)
        return None if path == "/" else Job(self, path)

    # --- signals ---

    def owner(self):
        """luctld's unique name."""
        try:
            reply = self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
                                       GLib.Variant("(s)", (NAME,)), None, Gio.DBusCallFlags.NONE, -1, None)
        except GLib.Error as error:
            raise Error(Gio.DBusError.get_remote_error(error) or "", "luctld is not running\nsystemctl start luctld.service") from None
        return reply.unpack()[0]

    def watch(self, changed):
        """
        Tells what there is, and from then on what changes: changed(path, interface, properties).

        The first time for each object all its properties; later those that have changed; None: it is gone. With the path
        None, luctld has gone, and nothing will come any more. Call what this returns to end it.
        """
        owner = self.owner()
        ids = []

        def on_signal(_bus, _sender, path, interface, signal, args, _host=self):     # which lives as long as it is watched
            values = args.unpack()
            if interface == PROPERTIES and signal == "PropertiesChanged":
                changed(path, values[0], values[1])
            elif signal == "InterfacesAdded":
                for name, properties in values[1].items():
                    if name.startswith(NAME):
                        changed(values[0], name, properties)
            elif signal == "InterfacesRemoved":
                for name in values[1]:
                    if name.startswith(NAME):
                        changed(values[0], name, None)

        def on_owner(_bus, _sender, _path, _interface, _signal, args):
            if args.unpack()[1] == owner:
                changed(None, None, None)

        def end():
            while ids:
                self.bus.signal_unsubscribe(ids.pop())

        none = Gio.DBusSignalFlags.NONE
        for interface, member in ((PROPERTIES, "PropertiesChanged"), (OBJECTS, None)):
            ids.append(self.bus.signal_subscribe(owner, interface, member, None, None, none, on_signal))
        ids.append(self.bus.signal_subscribe("org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", "/org/freedesktop/DBus",
                                             NAME, none, on_owner))
        try:
            objects = self.call("GetManagedObjects", path=PATH, interface=OBJECTS)
            manager = self.call("GetAll", "(s)", MANAGER, path=PATH, interface=PROPERTIES)
        except Error:
            end()
            raise
        changed(PATH, MANAGER, manager)
        for path, interfaces in objects.items():
            for name, properties in interfaces.items():
                if name.startswith(NAME):
                    changed(path, name, properties)
        return end


class Job:
    """A piece of work of luctld; path names it for as long as that runs. properties: as of the last news."""

    def __init__(self, host, path):
        self.host, self.path, self.properties = host, path, {}

    def cancel(self):
        self.host.call("Cancel", path=self.path, interface=JOB)

    def wait(self, progress=None):
        """Until it has ended: success, aborted, degraded or failed. progress(state, detail) is told each step. Gone: luctld is."""
        loop = GLib.MainLoop()
        gone = []

        def changed(path, _interface, properties):
            if path is None or (path == self.path and properties is None):
                gone.append(True)
                loop.quit()
            elif path == self.path:
                self.properties.update(properties)
                if progress and "State" in properties and self.properties["State"]:
                    progress(self.properties["State"], self.properties.get("Detail", ""))
                if self.properties.get("Result"):
                    loop.quit()

        end = self.host.watch(changed)
        try:
            if not self.properties:
                raise Error("org.freedesktop.DBus.Error.UnknownObject", f"{self.path}: there is no such job (any more)")
            if not self.properties.get("Result") and not gone:
                loop.run()
        finally:
            end()
        if not self.properties.get("Result"):
            raise Gone
        return self.properties["Result"]
