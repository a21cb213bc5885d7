# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are. Nothing is built inside the tree; a product's name carries the hash of all it was made from."""

import fcntl
import functools
import hashlib
import os
import pathlib
import shutil

TREE = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "luctl"
RESULTS = pathlib.Path(os.environ.get("LUCTL_RESULTS") or CACHE / "results")


def cache(*parts):
    """A directory below the cache, made if it is not there."""
    path = CACHE.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*items):
    """Sixteen hex digits that name everything in items: strings, bytes, and files (as pathlib.Path, by content)."""
    total = hashlib.sha256()
    for item in items:
        if isinstance(item, pathlib.Path):
            item = item.read_bytes()
        if isinstance(item, str):
            item = item.encode()
        total.update(len(item).to_bytes(8, "little"))
        total.update(item)
    return total.hexdigest()[:16]


def files_below(*roots, skip=()):
    """All files below roots in a stable order: what a hash over a folder is taken from."""
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts and path.name not in skip:
                yield path


def locked(name):
    """Decorator: one process at a time makes this product."""
    def decorate(function):
        @functools.wraps(function)
        def under_lock(*args, **kwargs):
            with open(cache("locks") / name, "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return function(*args, **kwargs)
        return under_lock
    return decorate


def trim_named(folder, pattern, keep):
    """Leave only the newest products of one kind, so that the cache does not grow without end."""
    found = sorted(folder.glob(pattern), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in found[keep:]:
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink()
