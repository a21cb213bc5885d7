# SPDX-License-Identifier: GPL-2.0-or-later
"""What the emulated processor does wrong now and then, told apart from what luctl does wrong.

QEMU's multi-threaded TCG loses an interrupt, or its SVM injects one into a guest that has interrupts off (qemu-patches/0002: twice). The first leaves a CPU asleep, the second kills a
guest's kernel: in the first instructions of an interrupt's entry %gs is still the program's, in those of a system call's the stack is. All are known by what no real processor does.
"""

import re

# the innermost of the guest's own traces is the last one: where it was when the interrupt came, and its flags
ENTRY = re.compile(r"RIP: 0010:asm_(?:sysvec|common|exc)_\w+\+0x([0-9a-f]+)/0x[0-9a-f]+\n(?:(?!RIP:).*\n){0,4}?.*RSP: \S+ EFLAGS: ([0-9a-f]+)")
# a system call that has not left the program's stack, and the address to which something could not be written
SYSCALL = re.compile(r"Oops: double fault.*?RIP: 0010:entry_SYSCALL_64\+.*?RSP: \S+:(0000[0-9a-f]{12}) EFLAGS: ([0-9a-f]+).*?CR2: ([0-9a-f]+)", re.S)
INTERRUPTS_ON = 0x200
FIRST_INSTRUCTIONS = 16     # endbr64, clac, cld, push, call: swapgs comes after these


def left_asleep(text):
    """Whether a CPU stood in its idle loop's halt instruction until an NMI woke it, past its timer; text is the kernel's console."""
    stall = re.search(r"rcu: INFO: rcu_sched detected stalls.*?rcu_sched kthread timer wakeup didn't happen", text, re.S)
    return bool(stall and re.search(r"RIP: \d+:pv_native_safe_halt\+", stall[0]))


def interrupted(text):
    """Whether a kernel died of an interrupt in the first instructions of an interrupt's or a system call's entry, where interrupts are off; text is its console."""
    call = SYSCALL.search(text)
    if call:
        stack, flags, written = (int(word, 16) for word in call.groups())
        # the first word of an interrupt's frame; the processor aligns the stack for it
        return not flags & INTERRUPTS_ON and written == (stack & ~15) - 8
    trace = re.search(r"<ENTRY_TRAMPOLINE>(.*?)</ENTRY_TRAMPOLINE>", text, re.S)
    places = ENTRY.findall(trace[1]) if trace else []
    return bool(places and int(places[-1][0], 16) < FIRST_INSTRUCTIONS and not int(places[-1][1], 16) & INTERRUPTS_ON)


def killed(folder):
    """The log of a guest that died so before its host had jumped into another kernel; None: none did."""
    for host in folder.rglob("host.log"):
        boots = [float(line.split()[0]) for line in host.read_text(errors="replace").splitlines() if re.match(r" *[\d.]+ .*\[ +0\.000000\]", line)]
        for guest in sorted(host.parent.glob("guest*.log")):
            lines = guest.read_text(errors="replace").splitlines()
            at = next((float(line.split()[0]) for line in lines if "</ENTRY_TRAMPOLINE>" in line or "Oops: double fault" in line), None)
            if at and len([b for b in boots if b < at]) == 1 and interrupted("\n".join(lines)):
                return guest.stem
    return None
