/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The target's image and initrd as somebody gave them: by a descriptor that he opened himself, or by a path,
 * which only root may have us open. They are looked at in a child process, and what was looked at is what is loaded.
 */
#include <systemd/sd-event.h>

#include "image.h"

/**
 * struct lu_image_source - what was given
 * @kernel, @initrd: paths, for messages if there is a descriptor; @initrd may be NULL
 * @kernel_fd, @initrd_fd: opened by the one who asks; 0: none
 * @may_open: may the paths be opened?
 */
struct lu_image_source {
	const char *kernel, *initrd;
	int kernel_fd, initrd_fd;
	bool may_open;
};

/**
 * struct lu_image_read - what was found
 * @error, @initrd_error: if that file is of no use
 * @image: valid if there is no @error
 * @fd: a copy of the file that nobody can change any more (a sealed memfd), for loading; -EBADF with @error. The receiver's
 */
struct lu_image_read {
	struct lu_error error, initrd_error;
	struct lu_image image;
	int fd;
};

struct lu_image_reader;

/** lu_image_done_t - called once; @result's errors go away afterwards, its @fd does unless it was taken (set to -EBADF) */
typedef void (*lu_image_done_t)(void *userdata, struct lu_image_read *result);

/** lu_image_reader_start() - read; @source is copied as far as it is needed later. 0 or negative errno, then @done is not called */
int lu_image_reader_start(sd_event *event, const struct lu_image_source *source, lu_image_done_t done, void *userdata,
			  struct lu_image_reader **ret);

/** lu_image_reader_free() - end it; @done is not called any more. To be called after @done, too; NULL is fine */
struct lu_image_reader *lu_image_reader_free(struct lu_image_reader *r);
