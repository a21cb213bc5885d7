# SPDX-License-Identifier: GPL-2.0-or-later
"""stress-ng and fio in pkernfs: nothing fails there that doesn't in tmpfs, what fio wrote is right in the next kernel, all space comes back."""

import re
import time

from lab import load

KERNELS = ["7.3", "7.2"]
LIMIT = 5400

# stress-ng's stressors by class; all make files in the directory that they are given
STRESSORS = {
    "filesystem": "access acl chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fanotify fcntl fiemap file-ioctl filename filerace flock fpunch fsize hdd "
                  "inode-flags inotify iomix ioprio lease link locka lockf lockmix lockofd metamix mknod open pseek rename symlink sync-file touch umask unlink utime verity xattr",
    "io": "aio aiol io-uring readahead revio seek",
    "vm": "madvise mmap mmaptorture msync msyncmany stackmmap",
    "memory": "mincore rmap tlb-shootdown",
    "others": "cachehammer chroot fault fd-abuse fd-race fifo loop rlimit sendfile sigbus",
}
# the defaults, up to 1 GiB, are too much for an emulated machine; a file that is mapped instead of anonymous memory
OPTIONS = "--copy-file-bytes 128m --mmap-file --mmap-bytes 32m " + " ".join(f"--{name}-bytes 32m" for name in "fallocate fpunch hdd iomix readahead revio sync-file mmaptorture msync".split())
# the rest of the first four classes
EXCLUDED = {
    "makes no file where it is told to, but uses what is there":
        "dev-shm eventfd fd-fork fstat getdent handle io mmapfiles procfs statmount tmpfs",
    "mounts other filesystems, writes to devices, wants blocks of a disk":
        "binderfs bind-mount rawdev swap",
    "its memory belongs to no file, or to a file that has no name":
        "bad-altstack bigheap brk env malloc mlock mlockmany mmapaddr mmapcow mmapfixed mmapfork mmaphuge mmapmany mprotect mremap mseal munmap pagemove pageswap "
        "physmmap physpage shm shm-sysv stack userfaultfd vm vm-addr vm-rw vm-segv vm-splice vma memfd numa oom-pipe pipe pipeherd remap resources full null zero",
    "loads the processor":
        "atomic bitonicsort bsearch bubblesort context fibsearch heapsort hsearch insertionsort judy list lockbus lsearch matrix matrix-3d mcontend membarrier memcpy memrate memthrash "
        "mergesort misaligned prefetch ptr-chase qsort radixsort randlist shellsort skiplist sparsematrix spinmem str stream tree tsearch wcs zlib",
}
BAD = r"WARNING:|BUG:|Oops|general protection|Kernel panic|possible .* (deadlock|recursive)|pkernfs: .*(damaged|lost)"

PLACES = {"pkernfs": "/mnt/load", "tmpfs": "/mnt/peer"}
# One after the other, in all places at a time. Who makes something in the directory, is seen by looking at it.
STRESS = """
for place in {places}; do (
    mkdir -p $place/stress
    (while test -d $place/stress; do ls $place/stress; sleep 0.2; done | sort -u > $place.seen) &
    timeout -k 5 {limit} stress-ng --sequential 2 --with {names} --timeout 2 {options} --verify --oomable --temp-path $place/stress > $place.log 2>&1
    echo "ended $?" >> $place.log
    rm -rf $place/stress
    wait
) & done
wait
"""
# Files of whole 2 MiB have blocks of that size, all others small ones. Nothing is allocated before: writes, or the mapping, fill holes.
HUGE, SMALL = 16 << 20, (16 << 20) + 4096
FILES = {f"{engine}-{size}": (engine, size) for engine in ("psync", "mmap", "io_uring") for size in (HUGE, SMALL)}
JOBS = "[global]\nrw=randrw\nbs=4k\nverify=crc32c\nverify_state_save=0\nfallocate=none\n" + "".join(
    f"[{name}]\nfilename={PLACES['pkernfs']}/{name}\nioengine={engine}\nsize={size}\nstonewall\n" for name, (engine, size) in FILES.items())
# two processes in one file: one punches holes into its first half while the other writes and verifies the second
BESIDE = "[global]\nfilename={file}\nbs=4k\nfallocate=none\n[punch]\nioengine=falloc\nrw=randtrim\nsize=8m\nloops=4\n" \
         "[write]\nioengine=psync\nrw=randrw\noffset=8m\nsize=8m\nverify=crc32c\nverify_state_save=0\nloops=2\n"


def fio(host, arguments, check=True):
    return host.run(f"cd /root && {load.RUN} fio {arguments} 2>&1", check=check, timeout=900)


def free(host):
    """Blocks and inodes that statfs(2) says are free."""
    return host.run(f"stat -f -c '%f %d' {PLACES['pkernfs']}").out.split()


def nothing_left(lab, host, what):
    """No file, no block, and each page that counts as used is found by who walks through the metadata: pages of the inode table stay for the next files."""
    end = time.monotonic() + 60
    while True:         # an unlinked file that something still uses goes within a second
        told = lab.ask(host, "pkernfs verify", timeout=120)
        fs = next(fs for fs in told["filesystems"] if fs["name"] == "load")
        total, unused = (int(n) for n in host.run(f"stat -f -c '%b %f' {PLACES['pkernfs']}").out.split())
        left = {key: fs[key] for key in ("files", "others", "unlinked", "small_blocks", "huge_blocks")}
        if told["ok"] and not any(left.values()) and fs["directories"] == 1 and total - unused == fs["metadata_pages"] == fs["used"] // 4096:
            break
        lab.expect(time.monotonic() < end, f"{what}: {left}, {fs['directories']} directories, {total - unused} pages are used; found were {fs['metadata_pages']}; {told['findings']}")
        time.sleep(1)
    # and those pages are used again: as many files as that once more take nothing for good
    again = f"mkdir {PLACES['pkernfs']}/again; cd {PLACES['pkernfs']}/again; seq %d | xargs -r touch; cd ..; rm -r again"
    host.run(again % 1)         # the root directory's page stays, too
    before = free(host)
    host.run(again % ((fs["metadata_pages"] - 2) * 8), timeout=120)
    lab.expect(free(host) == before, f"{what}: free before files were made and removed: {before}, after it: {free(host)}")
    return fs["metadata_pages"]


def log_is_clean(lab, host, what):
    found = [row for row in host.run("dmesg").out.splitlines() if re.search(BAD, row)]
    lab.expect(not found, f"{what}: the kernel says: " + "; ".join(found[:5]))


def stress(host, names):
    """Stressors in all places: for each place {stressor: passed, skipped or failed}, and what was seen to make files in pkernfs."""
    command = STRESS.format(places=" ".join(PLACES.values()), names=",".join(names), options=OPTIONS, limit=60 + 30 * len(names))
    host.run(f"export LD_LIBRARY_PATH={load.PLACE}/lib PATH={load.PLACE}/bin:$PATH\n" + command, timeout=120 + 30 * len(names))
    verdicts = {}
    for place, path in PLACES.items():
        text = host.get(f"{path}.log").decode(errors="replace")
        verdicts[place] = {name: "not run" for name in names}
        for verdict in ("passed", "skipped", "failed"):     # of two workers the worse one counts
            for row in re.findall(rf"\] {verdict}: \d+: (.*)", text):
                verdicts[place].update((name, verdict) for name in re.findall(r"(\S+) \(\d+\)", row))
        # not all that finds wrong data counts itself as failed
        verdicts[place].update((name, "failed") for name in re.findall(r"stress-ng: fail: +\[\d+\] ([a-z0-9-]+):", text) if name in names)
    seen = {name for name in names if re.search(rf"^tmp-stress-ng-{name}-\d", host.get(f"{PLACES['pkernfs']}.seen").decode(), re.M)}
    return verdicts, seen


def said_of(host, name, place="pkernfs"):
    return host.run(f"grep -E '\\] {name}: ' {PLACES[place]}.log | sort -u -k 4 | head -3", check=False).out.strip()


def makes_files(host, name):
    """Of one that was too quick to be seen: it changes the directory that it is given."""
    path = f"{PLACES['pkernfs']}/alone"
    command = f"mkdir {path} && touch -d @0 {path} && {load.RUN} stress-ng --{name} 1 --timeout 1 {OPTIONS} --temp-path {path}; stat -c 'changed %Y' {path}; rm -rf {path}"
    return re.search(r"^changed [^0]", host.run(command, timeout=120).out, re.M)


def differs(verdicts, name):
    """Whether pkernfs is worse off than tmpfs."""
    mine, peer = (verdicts[place][name] for place in PLACES)
    return mine not in ("passed", peer) or mine == "not run"


def stress_class(lab, host, group, names):
    """What fails in pkernfs must fail in tmpfs, too; returns what is wrong."""
    wrong = []
    if group != "others":
        offered = set(re.search("stressors: (.*)", host.run(f"{load.RUN} stress-ng --class {group}?").out)[1].split())
        unknown = offered - set(" ".join([*STRESSORS.values(), *EXCLUDED.values()]).split())
        lab.expect(not unknown, f"class {group} has stressors that are not in the table: {sorted(unknown)}")
    verdicts, seen = stress(host, names)
    for name in names:
        mine, peer = (verdicts[place][name] for place in PLACES)
        if mine != peer or mine != "passed":
            lab.say(f"  {name}: {mine} in pkernfs, {peer} in tmpfs" + "".join(f"\n      {row}" for row in said_of(host, name).splitlines()))
        if differs(verdicts, name):
            wrong.append(f"{name} {mine} in pkernfs, {peer} in tmpfs")
        elif mine == "passed" and name not in seen and not makes_files(host, name):
            wrong.append(f"{name} makes nothing in the directory that it is given")
    lab.say(f"  {group}: " + ", ".join(f"{sum(verdicts[place][name] == 'passed' for name in names)} of {len(names)} passed in {place}" for place in PLACES))
    pages = nothing_left(lab, host, f"class {group}")
    lab.say(f"  all blocks are back, {pages} pages of metadata stay")
    log_is_clean(lab, host, f"class {group}")
    return wrong


def stress_all(lab, host):
    wrong = []
    for group, names in STRESSORS.items():
        wrong += stress_class(lab, host, group, names.split())
    lab.expect(not wrong, "; ".join(wrong))


def stress_can_fail(lab, host):
    """Where nothing can be written a stressor can't pass, and that must be seen."""
    host.run(f"mount -o remount,ro {PLACES['pkernfs']}")
    verdicts, _ = stress(host, ["hdd"])
    host.run(f"mount -o remount,rw {PLACES['pkernfs']}")
    lab.expect(differs(verdicts, "hdd"), f"not noticed: {verdicts}; {said_of(host, 'hdd')}")
    lab.say(f"  hdd: {verdicts['pkernfs']['hdd']} in pkernfs, {verdicts['tmpfs']['hdd']} in tmpfs")


def change(host, path, offset):
    """One byte of a file becomes another."""
    host.run(f"n=$(od -An -tu1 -j{offset} -N1 '{path}'); printf \"\\\\$(printf %o $((n ^ 4)))\" | dd of='{path}' bs=1 seek={offset} conv=notrunc status=none")


def punch_all(lab, host, size):
    """Holes over all of a file that was full of something else: it reads as zeroes, and takes no memory."""
    path = f"{PLACES['pkernfs']}/punched"
    block = size if size % (2 << 20) else 2 << 20
    block = "2m" if block == 2 << 20 else "4k"
    fio(host, f"--name=fill --filename={path} --size={size} --rw=write --bs=4k --ioengine=psync --fallocate=none --buffer_pattern=0xa5")
    full = int(host.run(f"stat -c %b {path}").out) * 512
    lab.expect(full >= size, f"{full} of {size} bytes are allocated")
    fio(host, f"--name=punch --filename={path} --size={size} --rw=randtrim --bs={block} --ioengine=falloc")
    left = int(host.run(f"stat -c %b {path}").out)
    lab.expect(left == 0, f"{left} blocks are left of {path} ({size})")
    fio(host, f"--name=zero --filename={path} --size={size} --rw=read --bs=4k --ioengine=psync --verify=pattern --verify_pattern=0x00")
    # allocated again by fallocate, and still zero
    fio(host, f"--name=again --filename={path} --size={size} --rw=write --bs={block} --ioengine=falloc --fallocate=none")
    fio(host, f"--name=zero --filename={path} --size={size} --rw=read --bs=4k --ioengine=psync --verify=pattern --verify_pattern=0x00")
    host.run(f"rm {path}")


def write_files(lab, host):
    host.put("/root/files.fio", JOBS)
    host.put("/root/beside.fio", BESIDE.format(file=f"{PLACES['pkernfs']}/beside"))
    for name, (_, size) in FILES.items():
        path = f"{PLACES['pkernfs']}/{name}"
        unit = int(host.run(f"truncate -s {size} {path} && stat -c %o {path}").out)
        lab.expect(unit == (4096 if size % (2 << 20) else 2 << 20), f"{name} has blocks of {unit} bytes")
    fio(host, "files.fio")
    for size in (HUGE, SMALL):
        host.run(f"rm -f {PLACES['pkernfs']}/beside; truncate -s {size} {PLACES['pkernfs']}/beside")
        fio(host, "beside.fio")
        punch_all(lab, host, size)
    host.run(f"rm {PLACES['pkernfs']}/beside")


def accused(result):
    """The files of which fio says that they are not what it wrote."""
    return {name for name in FILES if re.search(rf"verify.* file \S*/{name}\b", result.out)}


def mount(host):
    host.run(f"mkdir -p {' '.join(PLACES.values())}; mount -t pkernfs -o name=load,size=1G pkernfs {PLACES['pkernfs']}; mount -t tmpfs -o size=1G tmpfs {PLACES['tmpfs']}")
    load.mount(host)


def run(lab):
    with lab.host(memory="4G", guests=1, qemu_args=load.args()) as host:
        mount(host)
        nothing_left(lab, host, "at the start")
        with lab.case("stress-ng"):
            stress_all(lab, host)
        with lab.case("a stressor that can't write in pkernfs is noticed"):
            stress_can_fail(lab, host)
        with lab.case("fio"):
            write_files(lab, host)
            log_is_clean(lab, host, "fio")
        taken = free(host)

        host.run(f"kexec -s -l {lab.image_of('7.2')} --reuse-cmdline")
        result, _ = host.jump("sync; exec /usr/lib/lab/stamp jump")
        lab.expect(result is None, f"no kexec: {result}")
        mount(host)
        lab.say(f"kernel {host.release()}")
        with lab.case("fio --verify_only in the next kernel"):
            lab.expect(free(host) == taken, f"blocks and inodes free before the kexec: {taken}, after it: {free(host)}")
            fio(host, "--verify_only files.fio")
        with lab.case("one byte changed behind its back is found, in each file"):
            for number, name in enumerate(FILES):
                change(host, f"{PLACES['pkernfs']}/{name}", (number + 1) * 0x123456 % HUGE)
                result = fio(host, f"--verify_only --section={name} files.fio", check=False)
                lab.expect(result.code != 0 and accused(result) == {name}, f"{name} was changed: {result}")
        with lab.case("all space is back"):
            host.run(f"rm -r {PLACES['pkernfs']}/*")
            nothing_left(lab, host, "after all")
            log_is_clean(lab, host, "the next kernel")
