#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that listens where a QEMU's monitor would, and behaves as it is told.

usage: monitor.py FILE: {"socket": PATH, "greeting": TEXT or null, "answers": {COMMAND: …}, "accept": BOOL,
"leave": BOOL: closes after the greeting, "think": SECONDS: before each answer}

An answer is the value to return, {"error": TEXT}, {"raw": TEXT}, or "silent" or "close". A command is looked up
with its arguments first ("qom-get /machine type"), then by its name, then as "*". QEMU's own words stand in HEALTHY.
"""

import json
import os
import socket
import sys
import threading
import time

GREETING = json.dumps({"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}) + "\r\n"
HEALTHY = {
    "qmp_capabilities": {},
    "query-status": {"status": "running", "running": True, "singlestep": False},
    "query-uuid": {"UUID": "00000000-0000-0000-0000-000000000000"},
    "qom-get /machine type": "pc-q35-10.0-machine",
    "qom-list /objects": [],
    "qom-list": [],
    "query-named-block-nodes": [],
    "query-block": [],
    "query-jobs": [],
    "query-block-exports": [],
    "query-cpus-fast": [],
    "query-migrate": {},
    "query-migrate-parameters": {},
    "query-migrate-capabilities": [],
    "*": {"error": "not in this test"},
}


def lookup(answers, message):
    name, args = message.get("execute"), message.get("arguments") or {}
    whole = " ".join([str(name)] + [str(args[k]) for k in ("path", "property") if k in args])
    for key in (whole, name, "*"):
        if key in answers:
            return answers[key]
    return "silent"


def serve(conn, config):
    answers = {**HEALTHY, **config.get("answers", {})}
    greeting = config.get("greeting", GREETING)
    try:
        if greeting is not None:
            conn.sendall(greeting.encode("latin-1"))
        for line in () if config.get("leave") else conn.makefile("rb"):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            answer = lookup(answers, message)
            time.sleep(config.get("think", 0))
            if answer == "silent":
                continue
            if answer == "close":
                break
            if isinstance(answer, dict) and "raw" in answer:
                conn.sendall(answer["raw"].encode("latin-1"))
                continue
            reply = ({"error": {"class": "GenericError", "desc": answer["error"]}} if isinstance(answer, dict) and "error" in answer
                     else {"return": answer})
            if "id" in message:
                reply["id"] = message["id"]
            conn.sendall(json.dumps(reply).encode() + b"\r\n")
    except OSError:
        pass
    conn.close()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        config = json.load(f)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(config["socket"] + ".new")
    listener.listen(16)
    os.rename(config["socket"] + ".new", config["socket"])      # it listens once the name is there
    while config.get("accept", True):
        threading.Thread(target=serve, args=(listener.accept()[0], config), daemon=True).start()
    threading.Event().wait()


main()
