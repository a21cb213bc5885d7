/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Between the files of the bare-metal guest. */
#include <stdint.h>

/* a line is gathered, and written as a whole by line_end() */
void put_char(char c);
void put_text(const char *s);
void put_hex(uint64_t value);
void put_number(uint64_t value);
void line_end(void);

/** tpm_start() - once */
void tpm_start(void);

/** tpm_step() - extend the PCR by @value, count in the NV index, and say what the TPM holds */
void tpm_step(uint64_t value);
