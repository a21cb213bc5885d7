/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry of the bare-metal guest: PVH (32-bit protected mode, %ebx = struct hvm_start_info), from there to long mode with the first 8 GiB mapped
 * one to one by 2 MiB pages.
 */
	.section .note.pvh, "a", @note
	.long 4, 4, 18			/* name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.section .text.start, "ax"
	.code32
	.globl _start
_start:
	cld
	movl $stack_top, %esp
	movl %ebx, %esi			/* start_info, first argument of main */

	/* 8 page directories behind one PDPT behind one PML4 */
	movl $pdpt + 3, pml4
	movl $pd + 3, %eax
	movl $pdpt, %edi
	movl $8, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 1b
	movl $pd, %edi
	xorl %edx, %edx			/* high half of the address */
	movl $0x83, %eax		/* present, writable, 2 MiB */
	movl $4096, %ecx
2:	movl %eax, (%edi)
	movl %edx, 4(%edi)
	addl $0x200000, %eax
	adcl $0, %edx
	addl $8, %edi
	loop 2b

	movl $pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax
	movl %eax, %cr0
	lgdt gdt_ptr
	ljmp $8, $long_mode

	.code64
long_mode:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %esi, %edi
	call ticker_main
3:	hlt
	jmp 3b

	/* IRQ 0: count and acknowledge, nothing else */
	.globl irq0_entry
irq0_entry:
	incq ticks
	pushq %rax
	movb $0x20, %al
	outb %al, $0x20
	popq %rax
	iretq

	.section .rodata
	.balign 8
gdt:	.quad 0
	.quad 0x00af9a000000ffff	/* 64-bit code */
	.quad 0x00cf92000000ffff	/* data */
gdt_ptr:
	.word . - gdt - 1
	.long gdt

	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 8 * 4096
stack:	.skip 8192
stack_top:
	.section .note.GNU-stack, "", @progbits
