# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with devices of the host VM passed through, a network card or that and a disk, and what must be true of it after anything was done to the host."""

import contextlib
import time

from . import guests
from .nvme import Nvme
from .wire import Wire

ADDRESS = "0000:00:0c.0"
DISK = "0000:00:0d.0"

# Frames come each 10 ms; the emulated machine itself makes some wait. A card that stops is stopped for seconds.
LONGEST = 1.0


@contextlib.contextmanager
def host_with_wire(lab, card="igb", rate=100, spare=(), **more):
    """A host VM with a card at ADDRESS, and the other end of its wire; spare are more devices."""
    with Wire(lab.results, rate) as wire, lab.host(qemu_args=wire.args(card, "0xc") + list(spare), **more) as host:
        yield host, wire


def stand_in(host):
    """/dev/vfio/vfio becomes what it is in a kernel with CONFIG_IOMMUFD_VFIO_CONTAINER."""
    host.run("rm /dev/vfio/vfio && mknod -m 666 /dev/vfio/vfio c $(stat -c '%Hr %Lr' /dev/iommu)")


@contextlib.contextmanager
def host_with_card(lab, **more):
    """The same with a guest that the card is passed through to, and the stream to it running."""
    with host_with_wire(lab, **more) as (host, wire):
        guest = guests.Linux("nic", 0, 256, net=False, passed=[ADDRESS])
        lab.start(host, guest)
        wire.stream(True)
        yield host, wire, guest


@contextlib.contextmanager
def host_with_wire_and_disk(lab, **more):
    """A host VM with a card at ADDRESS and a disk at DISK."""
    with Nvme(lab.results) as disk, host_with_wire(lab, spare=disk.args("0xd"), **more) as (host, wire):
        yield host, wire, disk


@contextlib.contextmanager
def host_with_card_and_disk(lab, options="", **more):
    """The same with a guest that both are passed through to, and the stream to it running."""
    with host_with_wire_and_disk(lab, **more) as (host, wire, disk):
        guest = guests.Linux("nic", 0, 256, net=False, passed=[ADDRESS, DISK], options=options)
        lab.start(host, guest)
        wire.stream(True)
        yield host, wire, disk, guest


def all_received(lab, host, wire, guest, timeout=60):
    """Until the guest has counted every frame that the card has taken."""
    end = time.monotonic() + timeout
    while True:
        report = lab.span(host, guest).reports[-1]
        if report.rx == f"{wire.sent}/{wire.sent}":
            return
        lab.expect(time.monotonic() < end, f"{wire.sent} frames were sent, {guest.name} says rx={report.rx} (came/newest)")
        time.sleep(0.3)


def stream_whole(lab, host, wire, guest, begin, longest=LONGEST):
    """Since begin (time.monotonic()) the card has taken frames at all times, and the guest has got every one there ever was."""
    wire.stream(False)
    all_received(lab, host, wire, guest)
    waited = wire.waited(begin, host.pump)
    lab.expect(waited < longest, f"the card took no frame for {waited:.3f} s")
    lab.say(f"{wire.sent} frames so far, none lost; longest time for which one waited for the card: {waited:.3f} s")
    wire.stream(True)


def journal_made(lab, host, guest):
    """What set the guest's devices up again stands in its journal, each call with its result, and nowhere else."""
    journal = lab.ask(host, f"journal show {guest.name}")
    wrong = [call for call in journal["calls"] if not call["results"] or call["results"][-1]["error"]]
    lab.expect(journal["ok"] and journal["calls"] and not wrong, f"the journal: {journal['findings']} {wrong[:3]}")
    lab.expect(any(call["call"] == "IOMMU_IOAS_MAP_FILE" for call in journal["calls"]), "no call of the journal maps memory")
    lab.say(f"{len(journal['calls'])} calls of its journal were made")


def nothing_lost(lab, host, wire, guest, start, begin, limit=30.0):
    """Since start (L0's clock) and begin (the same moment of time.monotonic()) the guest went on, and so did the card."""
    span = lab.witness(host, [guest], start, limit=limit)[guest.name]
    before, after = (int(span.reports[i].net.split("/")[1]) for i in (0, -1))
    lab.expect(after > before, f"the guest's pings are not answered any more: {span.reports[-1].net}")
    seconds, since = span.blackout()
    since += begin - start
    lab.say(f"the guest stood still for {seconds:.2f} s; meanwhile its card wrote {sum(since <= t <= since + seconds for t in wire.taken)} frames into its memory")
    stream_whole(lab, host, wire, guest, begin)


def flow(report):
    """(reads, writes, interrupts) of the disk that is passed through, as the guest has counted them."""
    return [int(n) for n in report.flow.split(":")[1].split("/")]


def disk_went_on(lab, host, disk, guest, start, begin, shared=False):
    """Since start (L0's clock) and begin (time.monotonic()) the disk has served the guest, also while it stood still; shared: it shares its interrupt."""
    span = lab.span(host, guest, start)
    lab.expect(span.reports[0].flow.startswith("ok:"), f"the guest has no disk, or a wrong one: {span.reports[0].flow}")
    (reads, writes, interrupts), after = flow(span.reports[0]), flow(span.reports[-1])
    seconds, since = span.blackout()
    since += begin - start
    meanwhile = disk.completed(since, since + seconds)
    lab.expect(after[0] > reads and after[1] > writes, f"the disk serves the guest no more: {span.reports[0].flow} … {span.reports[-1].flow}")
    lab.expect(meanwhile > 0, "the disk completed nothing while the guest stood still: nothing was in flight")
    # several completions may share an interrupt; each device is given one more when it was set up anew
    lab.expect(0 < after[2] - interrupts and (shared or after[2] - interrupts <= after[0] + after[1] - reads - writes + 64), f"interrupts do not fit completions: {span.reports[0].flow} … {span.reports[-1].flow}")
    wrong = disk.wrong(after[1])
    lab.expect(wrong is None, f"block {wrong} of {after[1]} that the guest wrote is not on the disk")
    lab.say(f"meanwhile its disk wrote {meanwhile} blocks into its memory; {after[0]} reads and {after[1]} writes so far, all right; "
            f"{after[2] - interrupts} interrupts for {after[0] + after[1] - reads - writes} completions")


def interrupts_are_completions(lab, host, guest, start):
    """Since start (L0's clock) a guest with flow=one has got one interrupt for each read, and at most one more, with which the disk was set up anew."""
    span = lab.span(host, guest, start)
    (reads, _, interrupts), (later, _, after) = flow(span.reports[0]), flow(span.reports[-1])
    reads, interrupts = later - reads, after - interrupts
    lab.expect(reads > 20, f"the disk serves the guest no more: {span.reports[0].flow} … {span.reports[-1].flow}")
    # the guest counts a read when it has looked at what came, up to a moment after its interrupt
    lab.expect(-1 <= interrupts - reads <= 2, f"{interrupts} interrupts for {reads} reads, one at a time")
    lab.say(f"{interrupts} interrupts for {reads} reads, one at a time")
