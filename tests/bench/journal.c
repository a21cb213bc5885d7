// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a journal of calls costs, without a kernel of ours: bench-journal DIR writes and reads a VM's two files there and
 * prints a row for each size: areas and vectors, calls, bytes, and the medians of writing (derive, execute in the model, encode,
 * write durably, devices.json), of verifying (read, decode, execute in the model) and of deriving once more and comparing, as
 * right before the jump, in milliseconds.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "devices-internal.h"

#define ROUNDS 15
#define VM_UUID "11111111-2222-4333-8444-555555555555"

static void die(const char *what, const struct lu_error *e)
{
	fprintf(stderr, "%s: %s\n", what, e && e->what ? e->what : "?");
	exit(1);
}

/* One device with @vectors of MSI-X, and @areas of one file, each the second half of 2 MiB. */
static void sample(struct lu_devices *d, size_t areas, size_t vectors)
{
	struct lu_devices_iommufd *u = calloc(1, sizeof(*u));
	struct lu_devices_ioas *ioas = calloc(1, sizeof(*ioas));
	struct lu_devices_device *dev = calloc(1, sizeof(*dev));

	*d = (struct lu_devices){ .features = calloc(1, sizeof(char *)), .n_fds = vectors + 2 };
	d->fds = calloc(d->n_fds, sizeof(*d->fds));
	d->memories = calloc(1, sizeof(*d->memories));
	d->n_memories = 1;
	d->memories[0] = (struct lu_devices_memory){
		.size = areas << 21, .path = strdup("ram/vm/ram0"), .inode = 5, .token = LU_DEVICES_NONE
	};
	for (size_t i = 0; i < vectors; i++) {
		d->fds[i] = (struct lu_devices_fd){ .name = strdup("hostdev0_interrupt"),
						    .id = (int)i,
						    .kind = LU_FD_EVENTFD,
						    .eventfd = calloc(1, sizeof(struct lu_devices_eventfd)),
						    .memory = LU_DEVICES_NONE };
	}
	d->fds[vectors] =
		(struct lu_devices_fd){ .name = strdup("iommufd0"), .kind = LU_FD_IOMMUFD, .memory = LU_DEVICES_NONE };
	d->fds[vectors + 1] = (struct lu_devices_fd){ .name = strdup("hostdev0"),
						      .kind = LU_FD_VFIO_DEVICE,
						      .memory = LU_DEVICES_NONE };
	*ioas = (struct lu_devices_ioas){ .id = 2, .huge_pages = true, .n_areas = areas };
	ioas->areas = calloc(areas, sizeof(*ioas->areas));
	for (size_t i = 0; i < areas; i++)
		ioas->areas[i] = (struct lu_devices_area){
			.iova = i << 21, .length = 1 << 20, .offset = i << 21, .read = true, .write = true
		};
	*dev = (struct lu_devices_device){
		.id = 1, .bdf = strdup("0000:00:04.0"), .fd = vectors + 1, .hwpt = 3, .n_irqs = vectors
	};
	dev->irqs = calloc(vectors, sizeof(*dev->irqs));
	for (size_t i = 0; i < vectors; i++)
		dev->irqs[i] = (struct lu_devices_irq){ VFIO_PCI_MSIX_IRQ_INDEX, (uint32_t)i,    false, i,
							LU_DEVICES_NONE,         LU_DEVICES_NONE };
	*u = (struct lu_devices_iommufd){
		.fd = vectors, .ioas = ioas, .n_ioas = 1, .devices = dev, .n_devices = 1, .n_hwpts = 1
	};
	u->hwpts = calloc(1, sizeof(*u->hwpts));
	u->hwpts[0] = (struct lu_devices_hwpt){ .id = 3, .ioas = 2, .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING };
	d->iommufds = u;
	d->n_iommufds = 1;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *list)
{
	qsort(list, ROUNDS, sizeof(*list), compare);
	return list[ROUNDS / 2];
}

static double since(uint64_t begin)
{
	return (double)(lu_clock_ns(CLOCK_MONOTONIC) - begin) / 1e6;
}

static void row(int dir, size_t areas, size_t vectors)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	double write_ms[ROUNDS], verify_ms[ROUNDS], still_ms[ROUNDS];
	struct lu_devices d, read;
	struct lu_calls calls;
	size_t n = 0, bytes = 0;
	uint64_t size;
	uint32_t crc;

	sample(&d, areas, vectors);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin = lu_clock_ns(CLOCK_MONOTONIC);

		if (lu_devices_write(dir, VM_UUID, &d, &size, &crc, &e) < 0)
			die("writing", &e);
		write_ms[i] = since(begin);
		begin = lu_clock_ns(CLOCK_MONOTONIC);
		if (lu_devices_read(dir, VM_UUID, size, crc, &read, &calls, &e) < 0)
			die("verifying", &e);
		verify_ms[i] = since(begin);
		n = calls.n;
		bytes = calls.sealed;
		lu_devices_clear(&read);
		lu_calls_clear(&calls);
		begin = lu_clock_ns(CLOCK_MONOTONIC);
		if (lu_devices_still(dir, VM_UUID, size, crc, &d, &e) < 0)
			die("comparing", &e);
		still_ms[i] = since(begin);
	}
	printf("| %zu, %zu | %zu | %zu | %.2f | %.2f | %.2f |\n", areas, vectors, n, bytes, median(write_ms),
	       median(verify_ms), median(still_ms));
	lu_devices_clear(&d);
}

int main(int argc, char **argv)
{
	int dir = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir < 0) {
		fprintf(stderr, "usage: bench-journal DIR\n");
		return 2;
	}
	printf("| areas, vectors | calls | bytes | write, ms | verify, ms | compare again, ms |\n|---|---|---|---|---|---|\n");
	row(dir, 6, 5);
	row(dir, 45, 81);
	row(dir, 1000, 512);
	row(dir, 60000, 2000);
	(void)unlinkat(dir, LU_CALLS_FILE, 0);
	(void)unlinkat(dir, LU_DEVICES_FILE, 0);
	return 0;
}
