# SPDX-License-Identifier: GPL-2.0-or-later
"""Ansible's local connection to a host that has a bus and programs of its own, and can't be reached while it jumps: as long as a file `away` lies among the
documents of its mock.

What modules have left in the host's temporary folder is gone then, as after a jump of a host that has it in memory.
"""

import pathlib
import shutil

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

# the loader reads options and their names from here
DOCUMENTATION = """
    name: away
    short_description: local, now and then out of reach
    description: For tests of what waits for a host.
    author: luctl
    options:
      folder:
        description: The host's.
        vars: [{name: host_folder}]
"""


class Connection(Local):
    transport = "away"

    def _there(self):
        folder = pathlib.Path(self.get_option("folder"))
        if (folder / "documents" / "away").exists():
            shutil.rmtree(folder / "tmp", ignore_errors=True)
            with open(folder / "documents" / "missed", "a") as missed:
                missed.write("x")
            raise AnsibleConnectionFailure("the host is away")
        return folder

    def exec_command(self, cmd, *args, **kwargs):
        folder = self._there()
        return super().exec_command(f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={folder}/bus PATH={folder}/bin:$PATH {cmd}", *args, **kwargs)

    def reset(self):
        pass

    def put_file(self, *args, **kwargs):
        self._there()
        return super().put_file(*args, **kwargs)
