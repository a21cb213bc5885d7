# SPDX-License-Identifier: GPL-2.0-or-later
"""The host VM's control channel: a client of the QEMU guest agent.

The socket to QEMU stays open for the VM's whole life; the agent behind it goes away at a kexec and a new one comes. Every use after silence
starts with guest-sync-delimited, which throws away whatever an earlier agent left in the channel.
"""

import base64
import json
import random
import socket
import time


class AgentError(Exception):
    """The agent refused a command, or does not answer."""


class Agent:
    def __init__(self, path):
        self._path = str(path)
        self._sock = None
        self._buffer = b""
        self._synced = False

    def _connect(self):
        if self._sock is None:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self._path)
            except OSError:
                sock.close()
                raise
            self._sock = sock

    def _read(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise AgentError("the guest agent does not answer")
        self._sock.settimeout(left)
        try:
            data = self._sock.recv(1 << 16)
        except TimeoutError:
            raise AgentError("the guest agent does not answer") from None
        if not data:
            raise AgentError("the host VM closed the agent's channel")
        self._buffer += data

    def _reply(self, end):
        while b"\n" not in self._buffer:
            self._read(end)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def sync(self, timeout=5):
        """Find an agent that answers now."""
        self._connect()
        number = random.randrange(1 << 31)
        end = time.monotonic() + timeout
        self._sock.settimeout(timeout)
        self._sock.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}).encode() + b"\n")
        while True:
            start = self._buffer.rfind(b"\xff")
            if start >= 0 and b"\n" in self._buffer[start:]:
                line, self._buffer = self._buffer[start + 1:].split(b"\n", 1)
                try:
                    if json.loads(line).get("return") == number:
                        self._synced = True
                        return
                except ValueError:
                    pass
                continue
            self._read(end)

    def lost(self):
        """What follows talks to another agent."""
        self._synced = False

    def command(self, name, timeout=20, **arguments):
        if not self._synced:
            self.sync(timeout)
        end = time.monotonic() + timeout
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
            reply = self._reply(end)
        except (AgentError, OSError, ValueError):
            self._synced = False
            raise
        if "error" in reply:
            raise AgentError(f"{name}: {reply['error'].get('desc')}")
        return reply["return"]

    # -- processes

    def spawn(self, argv, stdin=b""):
        more = {"input-data": base64.b64encode(stdin).decode()} if stdin else {}
        return self.command("guest-exec", path=argv[0], arg=argv[1:], **{"capture-output": True}, **more)["pid"]

    def status(self, pid):
        """None while it runs, then (exit code, stdout, stderr). A signal counts as 128 + number, as in a shell."""
        reply = self.command("guest-exec-status", pid=pid)
        if not reply["exited"]:
            return None
        code = reply.get("exitcode", 128 + reply.get("signal", 0))
        return code, base64.b64decode(reply.get("out-data", "")), base64.b64decode(reply.get("err-data", ""))

    # -- files

    def read_file(self, path):
        handle = self.command("guest-file-open", path=path, mode="r")
        data = b""
        try:
            while True:
                reply = self.command("guest-file-read", handle=handle, count=1 << 16)
                data += base64.b64decode(reply["buf-b64"])
                if reply["eof"]:
                    return data
        finally:
            self.command("guest-file-close", handle=handle)

    def write_file(self, path, data):
        handle = self.command("guest-file-open", path=path, mode="w")
        try:
            for at in range(0, len(data), 1 << 15):
                part = data[at:at + (1 << 15)]
                while part:
                    reply = self.command("guest-file-write", handle=handle, **{"buf-b64": base64.b64encode(part).decode()})
                    part = part[reply["count"]:]
        finally:
            self.command("guest-file-close", handle=handle)

    def close(self):
        if self._sock:
            self._sock.close()
            self._sock = None
