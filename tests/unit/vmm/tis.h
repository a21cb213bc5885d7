/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A TPM 2.0 as a guest has it, driven from outside through QEMU's -qtest: a PCR and an NV index. */
#include <stdint.h>

/** tis_connect() - to QEMU's -qtest socket */
void tis_connect(const char *path);
void tis_close(void);

/** tis_startup() - what firmware does once */
void tis_startup(void);

/** tis_extend() - extend PCR 10 by 32 bytes of @value */
void tis_extend(uint8_t value);

/** tis_pcr() - PCR 10 in hexadecimal */
const char *tis_pcr(void);

/** tis_nv_write() - define an index of 8 bytes, and write it */
void tis_nv_write(const char text[static 8]);

/** tis_nv() - what the index holds */
const char *tis_nv(void);
