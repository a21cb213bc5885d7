# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of the lab: Debian's source, our series, a configuration, and the compiler, each named by a hash of all of it.

    build("7.3") → Product(image=…/bzImage, config=…, release="7.3.4-lu")
    build("debian") → a kernel of Debian's, as it is in the package: the target without our patches

Source packages are architecture-independent: downloaded through a private apt state and unpacked, never installed. The tested version is preferred; a newer one
is taken when a suite has dropped it, and said. Trees are unpacked, patched, built and removed again; what makes the next build fast is ccache, shared
by all variants (equal relative paths, so that the same file under another configuration that does not touch it is a hit).
"""

import collections
import fcntl
import importlib.machinery
import importlib.util
import lzma
import os
import re
import shutil
import subprocess

from . import apt, paths
from .say import Failed, line, run, step

PATCHES = paths.TREE / "kernel-patch"
CONFIGS = PATCHES / "configs"
MORE = paths.TREE / "tests" / "lab" / "kernel-patches"
TESTED = {"7.3": "7.3.4-1~bpo13+1", "7.2": "7.2.13-1", "debian": "7.2.13-1"}
JOBS = os.environ.get("LUCTL_JOBS") or str(os.cpu_count())

# name → base version, fragments, patches of the lab's own on top of the series
Variant = collections.namedtuple("Variant", "base fragments more", defaults=[()])
VARIANTS = {
    "7.3": Variant("7.3", ["host"]),
    "7.3-b": Variant("7.3", ["host", "b"]),
    "7.2": Variant("7.2", ["host"]),
    "7.3-apparmor": Variant("7.3", ["host", "apparmor"]),
    "7.3-lockdep": Variant("7.3", ["host", "lockdep"]),
    "7.3-kasan": Variant("7.3", ["host", "kasan"]),
    "7.3-kho": Variant("7.3", ["host"], ["another-kho"]),
}
FOREIGN = "debian"

Product = collections.namedtuple("Product", "image config release")

# a third of the tree that no build here reads; every Kconfig stays
_OTHERS = "alpha arc arm arm64 csky hexagon loongarch m68k microblaze mips nios2 openrisc parisc powerpc riscv s390 sh sparc xtensa".split()
UNPACK_WITHOUT = ["drivers/gpu/drm/amd/include/asic_reg", "Documentation/translations"] + [
    f"arch/{a}/{part}" for a in _OTHERS for part in ("boot", "include", "kernel", "mm", "kvm", "configs", "mach-*")]


def series(variant):
    """The patches of a variant, in order."""
    folder = PATCHES / variant.base
    rows = [row.split("#")[0].strip() for row in (folder / "series").read_text().splitlines()]
    return [(folder / row).resolve() for row in rows if row] + [MORE / f"{name}.patch" for name in variant.more]


def compiler():
    return subprocess.run(["gcc", "-dumpfullversion", "-dumpmachine"], capture_output=True, text=True).stdout.split()


def suites():
    return apt.State("source", [apt.line_for(apt.mirror(), suite) for suite in ("trixie-backports", "sid")])


@paths.locked("foreign")
def _foreign():
    """The newest 7.x kernel that Debian has for VMs: small, and nothing of ours in it."""
    folders = sorted(paths.cache("kernel").glob(f"{FOREIGN}-*"))
    for folder in [f for f in folders if f.name.endswith(TESTED[FOREIGN])] + folders:
        if (folder / "release").exists():
            return Product(folder / "bzImage", None, (folder / "release").read_text().strip())
    log = paths.cache("logs") / "kernel-debian.log"
    with step("Kernel of Debian's") as this:
        state = suites()
        state.update(this)
        found = {n: v for n in state.names("linux-binary-7.") if n.endswith("-cloud-amd64") for v in state.versions(n)[:1]}
        if not found:
            raise Failed("no suite of the mirror offers a linux-binary-7.…-cloud-amd64")
        name = next((n for n, v in found.items() if v == TESTED[FOREIGN]), max(found))
        if found[name] != TESTED[FOREIGN]:
            line(f"note: Debian's kernel {TESTED[FOREIGN]}, which was tested, is not on offer; using {found[name]}")
        work = paths.cache("build", "debian")
        run(["dpkg-deb", "-x", state.download(name, found[name], work, this), work / "x"], log, this)
        folder = paths.cache("kernel") / f"{FOREIGN}-{found[name]}"
        folder.mkdir(exist_ok=True)
        shutil.copy(next((work / "x").rglob("vmlinuz*")), folder / "bzImage")
        (folder / "release").write_text(name[len("linux-binary-"):] + "\n")
        shutil.rmtree(work)
    return _foreign.__wrapped__()


def fetch_config(base, flavour, this):
    """Debian's configuration of a flavour (cloud-amd64, amd64), of the package version that fetch() takes."""
    version = fetch(base, this)[1]
    ready = paths.cache("source") / f"{version}-config-{flavour}"
    if ready.exists():
        return ready
    package, log, work = f"linux-config-{base}", paths.cache("logs") / "source.log", paths.cache("build") / f"config-{os.getpid()}"
    work.mkdir()
    try:
        state = suites()
        state.update(this)
        if version not in state.versions(package):
            raise Failed(f"no suite of the mirror offers {package} {version}, the version of the source")
        run(["dpkg-deb", "-x", state.download(package, version, work, this), work / "x"], log, this)
        for packed in work.glob(f"x/usr/src/{package}/config.amd64_none_*.xz"):
            text = lzma.decompress(packed.read_bytes())
            (paths.cache("source") / f"{version}-config-{packed.stem.rpartition('_')[2]}").write_bytes(text)
    finally:
        shutil.rmtree(work)
    if not ready.exists():
        raise Failed(f"{package} {version} has no configuration {flavour}")
    return ready


def fetch(base, this):
    """The source tarball of a base version and the package version it is of."""
    folder = paths.cache("source")
    tarball = f"linux-source-{base}.tar.xz"
    wanted = TESTED[base]
    ready = folder / f"{wanted}-{tarball}"
    if ready.exists():
        return ready, wanted
    state = suites()
    state.update(this)
    package = f"linux-source-{base}"
    offered = state.versions(package)
    if not offered:
        older = sorted(folder.glob(f"*-{tarball}"))
        if older:
            return older[-1], older[-1].name[:-len(tarball) - 1]
        raise Failed(f"no suite of the mirror offers {package}; tested was {wanted}")
    version = wanted if wanted in offered else offered[0]
    if version != wanted:
        line(f"note: {package} {wanted}, which was tested, is not on offer; using {version}")
        ready = folder / f"{version}-{tarball}"
        if ready.exists():
            return ready, version
    deb = state.download(package, version, folder, this)
    log = paths.cache("logs") / "source.log"
    run(["dpkg-deb", "-x", deb, folder / "x"], log, this)
    (folder / f"x/usr/src/{tarball}").rename(ready)
    shutil.rmtree(folder / "x")
    deb.unlink()
    return ready, version


def selftest_program(name, test, others=False):
    """A variant's own test program, built with the headers of the kernel it belongs to, as kselftest does; with others, what others test beside it."""
    base, patches = VARIANTS[name].base, series(VARIANTS[name])
    runner = PATCHES / "selftest"
    folder = paths.cache("selftest") / f"{test}{'-others' * others}-{base}-{paths.digest(TESTED[base], *compiler(), runner, *[change_of(p) for p in patches])}"
    program = folder / "init"
    if program.exists():
        return program
    log = paths.cache("logs") / f"selftest-{test}-{base}.log"
    log.unlink(missing_ok=True)
    work = paths.cache("build") / f"selftest-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "src").mkdir(parents=True)
    try:
        with step(f"Self-test of {test} on {base}") as this:
            unpack(base, work, log, this)
            for patch in patches:
                apply(patch, work, log, this)
            loader = importlib.machinery.SourceFileLoader("selftest", str(runner))
            module = importlib.util.module_from_spec(importlib.util.spec_from_loader("selftest", loader))
            loader.exec_module(module)
            folder.mkdir(exist_ok=True)
            built = module.build(str(work / "src"), str(work), test)
            if others:
                shutil.rmtree(folder / "others", ignore_errors=True)
                shutil.copytree(module.build_others(str(work / "src"), str(work)), folder / "others")
            shutil.copy(built, program)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return program


def _tree_of(variant):
    files = [CONFIGS / f"{name}.config" for name in variant.fragments]
    return files, series(variant)


def changes_image(patch):
    """Whether a patch touches anything that goes into the image; documentation and self-tests do not make a new kernel."""
    touched = re.findall(r"^\+\+\+ b/(\S+)|^--- a/(\S+)", patch.read_text(), re.M)
    return not all((new or old).startswith(("Documentation/", "tools/")) for new, old in touched)


def change_of(patch):
    """What a patch changes, without its message."""
    text = patch.read_text()
    return text[text.find("diff --git "):]


def key(name):
    variant = VARIANTS[name]
    fragments, patches = _tree_of(variant)
    patches = [p for p in patches if changes_image(p)]
    return paths.digest(TESTED[variant.base], *compiler(), *fragments, *[change_of(p) for p in patches], " ".join(UNPACK_WITHOUT))


def ready(name):
    """The product if it is in the cache."""
    folder = paths.cache("kernel") / f"{name}-{key(name)}"
    if not (folder / "release").exists():
        return None
    os.utime(folder)
    return Product(folder / "bzImage", folder / "config", (folder / "release").read_text().strip())


def merge(out, fragments, log, this):
    """Lay fragments over the configuration that is there."""
    run(["../src/scripts/kconfig/merge_config.sh", "-m", "-O", ".", ".config", *fragments], log, this, cwd=out, env={"KCONFIG_CONFIG": ".config"})


def lost(out, fragments):
    """What fragments say and the configuration does not have: an option that silently went away is how a lab comes to test something else."""
    have = (out / ".config").read_text()
    wanted = {}
    for fragment in fragments:
        wanted.update(re.findall(r"^(CONFIG_\w+)=(.*)$", fragment.read_text(), re.M))
    return [f"{k}={v}" for k, v in wanted.items() if v != "n" and f"\n{k}={v}\n" not in have or v == "n" and f"\n{k}=" in have]


def _configure(out, source, fragments, log, this):
    make = ["make", "-s", f"O={out}", "-C", source]
    run([*make, "tinyconfig"], log, this)
    merge(out, fragments, log, this)
    run([*make, "olddefconfig"], log, this)


def unpack(base, work, log, this, whole=False):
    """The source of a base version into work/src: hard links to a tree that is kept unpacked. Whoever changes a file has to write it anew, as patch does;
    a tree with a file that was written in place is made again. With whole, all of it, which is not kept. Returns the source package's version."""
    tarball, version = fetch(base, this)
    if whole:
        this.progress("unpacking")
        run(["tar", "-C", work / "src", "--strip-components=1", "-xf", tarball], log, this)
        return version
    tree = paths.cache("source") / f"tree-{version}-{paths.digest(' '.join(UNPACK_WITHOUT))}"
    stamp = tree.parent / f"{tree.name}.unpacked"
    with open(tree.parent / f"lock-{base}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or subprocess.run(["find", tree, "-type", "f", "-newer", stamp], capture_output=True).stdout:
            this.progress("unpacking")
            shutil.rmtree(tree, ignore_errors=True)
            for old in tree.parent.glob(f"tree-{base}.*.unpacked"):
                old.unlink()
                shutil.rmtree(old.parent / old.stem, ignore_errors=True)
            tree.mkdir()
            run(["tar", "-C", tree, "--strip-components=1", *[f"--exclude=linux-source-*/{u}" for u in UNPACK_WITHOUT], "-xf", tarball], log, this)
            stamp.touch()
    run(["cp", "-al", f"{tree}/.", work / "src"], log, this)
    return version


def apply(patch, work, log, this):
    run(["patch", "-d", work / "src", "-p1", "-s", "--fuzz=0", "--no-backup-if-mismatch", "-i", patch], log, this, hint=f"{patch.name} does not apply")


def ccache(work):
    """The environment in which objects are shared by all that is built of work/src, wherever that lies."""
    return {"CCACHE_DIR": str(paths.cache("ccache")), "CCACHE_BASEDIR": str(work), "CCACHE_NOHASHDIR": "1", "CCACHE_MAXSIZE": "4G"}


def _compile(work, log, this):
    """work/out/arch/x86/boot/bzImage of work/src."""
    env = {**ccache(work), "KBUILD_BUILD_USER": "lab", "KBUILD_BUILD_HOST": "lab", "KBUILD_BUILD_VERSION": "1",
           "KBUILD_BUILD_TIMESTAMP": "1970-01-01 00:00:00"}
    run(["make", f"-j{JOBS}", f"O={work / 'out'}", "-C", work / "src", "CC=ccache gcc", "bzImage"], log, this, env=env, nice=True)
    return work / "out/arch/x86/boot/bzImage"


def each_patch(base, boot):
    """Build the kernel of a base as it is after each patch of its series, and boot it: boot(name of the patch, image) for each. A file that only makes
    the patch before it fit the base ("core-0009a") goes with that one. What has passed is kept in the cache by a hash of source, compiler, configuration and
    all patches up to it, and isn't built again: a run that was ended goes on. Returns how many kernels were built now, and how many had passed before."""
    variant = Variant(base, ["host"])
    count = before = 0
    work = paths.cache("build") / f"linux-{base}"
    log = paths.cache("logs") / f"each-{base}.log"
    log.unlink(missing_ok=True)
    patches = series(variant)
    fragments = _tree_of(variant)[0]
    applied = [TESTED[base], *compiler(), *fragments]
    with open(paths.cache("build") / f"lock-{base}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(work, ignore_errors=True)
        (work / "src").mkdir(parents=True)
        (work / "out").mkdir()
        # compressing as a distribution does takes longer than what is built for a patch
        quick = work / "quick.config"
        quick.write_text("CONFIG_KERNEL_GZIP=y\n")
        with step(f"Source of {base}") as this:
            unpack(base, work, log, this)
        options = True
        for patch, after in zip(patches, patches[1:] + [None]):
            with step(patch.name) as this:
                apply(patch, work, log, this)
                applied.append(change_of(patch))
                options |= bool(re.search(r"^\+\+\+ b/(\S*/)?Kconfig", patch.read_text(), re.M))
                if not changes_image(patch) or after and re.match(r"(\w+-)?\d+a-", after.name):
                    continue
                passed = paths.cache("each-patch", base) / paths.digest(*applied)
                if passed.exists():
                    before += 1
                    continue
                if options:
                    _configure(work / "out", work / "src", [*fragments, quick], log, this)
                    options = False
                image = _compile(work, log, this)
                warned = re.findall(r"^.*\bwarning: .*$", log.read_text(errors="replace"), re.M)
                if warned:
                    raise Failed(f"{patch.name}: {warned[0]}")
                boot(patch.name, image)
                passed.write_text(f"{patch.name}\n")
                count += 1
        shutil.rmtree(work)
    return count, before


def build(name):
    """Make one variant, or take it from the cache. Whoever comes while another process makes it waits for that one."""
    if name == FOREIGN:
        return _foreign()
    found = ready(name)
    if found:
        return found
    with open(paths.cache("build") / f"lock-{VARIANTS[name].base}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return ready(name) or _make(name)


def _make(name):
    variant = VARIANTS[name]
    fragments, patches = _tree_of(variant)
    if not patches:
        raise Failed(f"kernel-patch/{variant.base} holds no patches")
    folder = paths.cache("kernel") / f"{name}-{key(name)}"
    log = paths.cache("logs") / f"kernel-{name}.log"
    log.unlink(missing_ok=True)
    # one path for all variants of a base: it stands in the compiler's arguments, and so in the keys of ccache
    work = paths.cache("build") / f"linux-{variant.base}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "src").mkdir(parents=True)
    out = work / "out"
    out.mkdir()
    with step(f"Kernel {name}") as this:
        unpack(variant.base, work, log, this)
        for patch in patches:
            apply(patch, work, log, this)
        _configure(out, work / "src", fragments, log, this)
        gone = lost(out, fragments)
        if gone:
            raise Failed("the configuration lost: " + " ".join(gone))
        _compile(work, log, this)
        new = folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        new.mkdir()
        shutil.copy(out / "arch/x86/boot/bzImage", new / "bzImage")
        shutil.copy(out / ".config", new / "config")
        (new / "release").write_text((out / "include/config/kernel.release").read_text())
        new.rename(folder)
        shutil.rmtree(work)
    paths.trim_named(paths.cache("kernel"), f"{name}-" + "?" * 16, keep=2)
    return ready(name)
