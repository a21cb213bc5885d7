// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two forms of QEMU's CPR state between bytes and struct; the grammar is in
 * cpr.h. Nothing here does I/O.
 *
 * Parsing is one pass with a cursor that never goes beyond the end: each take_…()
 * checks its length first, an error names the byte and what stood there. Descriptors
 * move from the caller's array into the entries as their entry is complete; at the
 * end both must be used up. A name is copied only after its length was found to be
 * within the data, so a length in the stream never decides how much is allocated.
 *
 * Unhappy paths: anything unexpected ends in lu_cpr_clear() of what was built and in
 * closing the rest of the array.
 *
 * Not handled: byte for byte copies (the order of entries is kept all the same).
 */
#include <inttypes.h>
#include <string.h>

#include "cpr.h"
#include "inherited.h"

#define MAGIC 0x51435052U
#define VERSION 1U
#define SERVICE 0x20 /* the byte that carries a descriptor */
#define SUBSECTION 0x05
#define SECTION_NAME "CprState/vfio devices"
#define SECTION_LEN (sizeof(SECTION_NAME) - 1)
#define SECTION_VERSION 1U

_Static_assert(SECTION_LEN == 21, "length of the section's name");

#define NAME(_struct)                                                                            \
	{                                                                                        \
		"name", LU_JSON_STRING, offsetof(struct _struct, name), LU_JSON_REQUIRED,        \
			.check = lu_cpr_name_valid, .expect = "1 to 1023 bytes without controls" \
	}

static const struct lu_json_field fd_fields[] = {
	NAME(lu_cpr_fd),
	{ "id", LU_JSON_INT32, offsetof(struct lu_cpr_fd, id), LU_JSON_REQUIRED },
};
const struct lu_json_table lu_cpr_fd_table = LU_JSON_TABLE("file", struct lu_cpr_fd, fd_fields);

void lu_cpr_no_files(struct lu_cpr *cpr)
{
	for (size_t i = 0; i < cpr->n_fds; i++)
		cpr->fds[i].fd = -EBADF;
}

void lu_cpr_clear(struct lu_cpr *cpr)
{
	for (size_t i = 0; i < cpr->n_fds; i++) {
		closep(&cpr->fds[i].fd);
		free(cpr->fds[i].name);
	}
	for (size_t i = 0; i < cpr->n_devices; i++)
		free(cpr->devices[i].name);
	free(cpr->fds);
	free(cpr->devices);
	*cpr = LU_CPR_INIT;
}

struct lu_cpr_fd *lu_cpr_find(const struct lu_cpr *cpr, const char *name, int32_t id)
{
	for (size_t i = 0; i < cpr->n_fds; i++)
		if (cpr->fds[i].id == id && !strcmp(cpr->fds[i].name, name))
			return &cpr->fds[i];
	return NULL;
}

bool lu_cpr_has_container(const struct lu_cpr *cpr)
{
	for (size_t i = 0; i < cpr->n_fds; i++)
		if (!strcmp(cpr->fds[i].name, "vfio_container_for_group"))
			return true;
	return false;
}

struct lu_cpr_device *lu_cpr_find_device(const struct lu_cpr *cpr, const char *name)
{
	for (size_t i = 0; i < cpr->n_devices; i++)
		if (!strcmp(cpr->devices[i].name, name))
			return &cpr->devices[i];
	return NULL;
}

/* --- parsing --- */

struct cursor {
	const uint8_t *data;
	size_t at, len;
	int *numbers; /* the exec form: gets LU_CPR_FDS_MAX at most; NULL: the transfer form */
	struct lu_error *e;
};

static int take(struct cursor *c, size_t n, const char *what, const uint8_t **ret)
{
	if (n > c->len - c->at)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: it breaks off after %zu bytes, in %s", c->len,
				    what);
	*ret = c->data + c->at;
	c->at += n;
	return 0;
}

static int take_u8(struct cursor *c, const char *what, uint8_t *ret)
{
	const uint8_t *p = NULL;
	int r = take(c, 1, what, &p);

	if (r == 0)
		*ret = *p;
	return r;
}

static int take_u32(struct cursor *c, const char *what, uint32_t *ret)
{
	const uint8_t *p = NULL;
	int r = take(c, 4, what, &p);

	if (r == 0)
		*ret = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return r;
}

static int take_i32(struct cursor *c, const char *what, int32_t *ret)
{
	uint32_t v = 0;
	int r = take_u32(c, what, &v);

	if (r == 0)
		memcpy(ret, &v, sizeof(*ret));
	return r;
}

static int take_name(struct cursor *c, char **ret)
{
	size_t at = c->at;
	const uint8_t *p = NULL;
	uint32_t n = 0;
	int r;

	r = take_u32(c, "the length of a name", &n);
	if (r < 0)
		return r;
	if (n > LU_CPR_NAME_MAX + 1)
		return lu_error_set(c->e, -EFBIG, NULL, "CPR state: byte %zu: a name of %" PRIu32 " bytes, at most %u",
				    at, n, LU_CPR_NAME_MAX + 1);
	r = take(c, n, "a name", &p);
	if (r < 0)
		return r;
	if (n == 0 || p[n - 1] != 0 || !lu_cpr_bytes_valid((const char *)p, n - 1))
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: byte %zu: not a name", at);
	*ret = strndup((const char *)p, n - 1);
	return *ret ? 0 : -ENOMEM;
}

/* 1: another element follows; 0: the list ends. */
static int take_more(struct cursor *c, const char *what)
{
	size_t at = c->at;
	uint8_t v = 0;
	int r = take_u8(c, what, &v);

	if (r < 0)
		return r;
	if (v > 1)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: byte %zu: %u where 0 or 1 has to stand, in %s",
				    at, v, what);
	return v;
}

/* Room for one more in an array of @n; it doubles whenever @n is a power of two. */
static int grow(void *array, size_t n, size_t size)
{
	void **p = array, *more;

	if (n & (n - 1))
		return 0;
	more = reallocarray(*p, n ? 2 * n : 1, size);
	if (!more)
		return -ENOMEM;
	*p = more;
	return 0;
}

static int take_number(struct cursor *c, size_t n, const char *name, int32_t id)
{
	int32_t number = 0;
	int r = take_i32(c, "the number of a file", &number);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (c->numbers[i] == number)
			return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: two files have the number %" PRId32,
					    number);
	if (number < 3)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: file %s %" PRId32 " has the number %" PRId32,
				    name, id, number);
	c->numbers[n] = number;
	return 0;
}

static int take_file(struct cursor *c, const struct lu_cpr *cpr, const int *fds, size_t n_fds, const char *name,
		     int32_t id)
{
	uint8_t service = 0;
	int r;

	if (c->numbers)
		return take_number(c, cpr->n_fds, name, id);
	r = take_u8(c, "a file", &service);
	if (r < 0)
		return r;
	if (service != SERVICE)
		return lu_error_set(c->e, -EBADMSG, NULL,
				    "CPR state: byte %zu: file %s %" PRId32 " comes without a descriptor", c->at - 1,
				    name, id);
	if (cpr->n_fds == n_fds)
		return lu_error_set(c->e, -EBADMSG, NULL,
				    "CPR state: byte %zu: file %s %" PRId32 ", but only %zu descriptors came",
				    c->at - 1, name, id, n_fds);
	if (fds[cpr->n_fds] < 0)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: the descriptor of file %s %" PRId32 " is none",
				    name, id);
	return 0;
}

static int take_entry(struct cursor *c, struct lu_cpr *cpr, int *fds, size_t n_fds)
{
	_cleanup_free_ char *name = NULL;
	int32_t id = 0;
	int r;

	if (cpr->n_fds == LU_CPR_FDS_MAX)
		return lu_error_set(c->e, -EFBIG, NULL, "CPR state: more than %u files", LU_CPR_FDS_MAX);
	r = take_name(c, &name);
	if (r == 0)
		r = take_i32(c, "the id of a file", &id);
	if (r == 0)
		r = take_file(c, cpr, fds, n_fds, name, id);
	if (r < 0)
		return r;
	if (lu_cpr_find(cpr, name, id))
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: byte %zu: file %s %" PRId32 " is there twice",
				    c->at - 1, name, id);
	r = grow(&cpr->fds, cpr->n_fds, sizeof(*cpr->fds));
	if (r < 0)
		return r;
	cpr->fds[cpr->n_fds] = (struct lu_cpr_fd){ .name = steal_ptr(name),
						   .id = id,
						   .fd = c->numbers ? -EBADF : steal_fd(&fds[cpr->n_fds]) };
	cpr->n_fds++;
	return 0;
}

static int take_device(struct cursor *c, struct lu_cpr *cpr)
{
	_cleanup_free_ char *name = NULL;
	struct lu_cpr_device d = { 0 };
	int r;

	if (cpr->n_devices == LU_CPR_DEVICES_MAX)
		return lu_error_set(c->e, -EFBIG, NULL, "CPR state: more than %u devices", LU_CPR_DEVICES_MAX);
	r = take_name(c, &name);
	if (r == 0)
		r = take_i32(c, "the id of a device", &d.devid);
	if (r == 0)
		r = take_u32(c, "the address space of a device", &d.ioas_id);
	if (r == 0)
		r = take_u32(c, "the page table of a device", &d.hwpt_id);
	if (r < 0)
		return r;
	if (lu_cpr_find_device(cpr, name))
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: device %s is there twice", name);
	r = grow(&cpr->devices, cpr->n_devices, sizeof(*cpr->devices));
	if (r < 0)
		return r;
	d.name = steal_ptr(name);
	cpr->devices[cpr->n_devices++] = d;
	return 0;
}

static int take_head(struct cursor *c)
{
	uint32_t magic = 0, version = 0;
	int r;

	r = take_u32(c, "its head", &magic);
	if (r < 0)
		return r;
	if (magic != MAGIC)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: it begins with %08" PRIx32 ", not with QCPR",
				    magic);
	r = take_u32(c, "its head", &version);
	if (r < 0)
		return r;
	if (version != VERSION)
		return lu_error_set(c->e, -EPROTONOSUPPORT, "update luctl",
				    "CPR state: version %" PRIu32 ", this luctl knows %u", version, VERSION);
	return 0;
}

static int take_section_head(struct cursor *c)
{
	uint8_t kind = 0, n = 0;
	const uint8_t *p = NULL;
	uint32_t version = 0;
	size_t at = c->at;
	int r;

	if (c->at == c->len)
		return lu_error_set(c->e, -EBADMSG,
				    "QEMU 11.1 writes one: is this an older version, or built without VFIO?",
				    "CPR state: it ends without the section of devices");
	r = take_u8(c, "the section of devices", &kind);
	if (r == 0)
		r = take_u8(c, "the section of devices", &n);
	if (r == 0 && kind != SUBSECTION)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: byte %zu: %u where a section begins", at, kind);
	if (r == 0)
		r = take(c, n, "the name of a section", &p);
	if (r < 0)
		return r;
	if (n != SECTION_LEN || memcmp(p, SECTION_NAME, n) != 0)
		return lu_error_set(c->e, -EPROTONOSUPPORT, "update luctl",
				    "CPR state: byte %zu: a section that this luctl does not know", at);
	r = take_u32(c, "the section of devices", &version);
	if (r < 0)
		return r;
	if (version != SECTION_VERSION)
		return lu_error_set(c->e, -EPROTONOSUPPORT, "update luctl",
				    "CPR state: devices in version %" PRIu32 ", this luctl knows %u", version,
				    SECTION_VERSION);
	return 0;
}

static int parse(struct cursor *c, int *fds, size_t n_fds, struct lu_cpr *cpr)
{
	size_t most = c->numbers ? LU_CPR_EXEC_BYTES_MAX : LU_CPR_BYTES_MAX;
	int r;

	if (c->len > most)
		return lu_error_set(c->e, -EFBIG, NULL, "CPR state: %zu bytes, at most %zu", c->len, most);
	r = take_head(c);
	while (r == 0 && (r = take_more(c, "the list of files")) > 0)
		r = take_entry(c, cpr, fds, n_fds);
	if (r < 0)
		return r;
	if (!c->numbers && cpr->n_fds != n_fds)
		return lu_error_set(c->e, -EBADMSG, NULL, "CPR state: %zu files, but %zu descriptors came", cpr->n_fds,
				    n_fds);
	r = take_section_head(c);
	while (r == 0 && (r = take_more(c, "the list of devices")) > 0)
		r = take_device(c, cpr);
	if (r < 0)
		return r;
	if (c->at != c->len)
		return lu_error_set(c->e, -EPROTONOSUPPORT, "update luctl",
				    "CPR state: byte %zu: %zu bytes follow its end", c->at, c->len - c->at);
	return 0;
}

int lu_cpr_parse(const void *data, size_t len, int *fds, size_t n_fds, struct lu_cpr *ret, struct lu_error *e)
{
	struct cursor c = { .data = data, .len = len, .e = e };
	struct lu_cpr cpr = LU_CPR_INIT;
	int r;

	r = parse(&c, fds, n_fds, &cpr);
	if (r == 0) {
		*ret = cpr;
		return 0;
	}
	lu_cpr_clear(&cpr);
	for (size_t i = 0; i < n_fds; i++) {
		closep(&fds[i]);
		fds[i] = -EBADF;
	}
	return r;
}

int lu_cpr_parse_exec(const void *data, size_t len, struct lu_cpr *ret, int **ret_numbers, struct lu_error *e)
{
	_cleanup_free_ int *numbers = calloc(LU_CPR_FDS_MAX, sizeof(*numbers));
	struct cursor c = { .data = data, .len = len, .numbers = numbers, .e = e };
	struct lu_cpr cpr = LU_CPR_INIT;
	int r = numbers ? parse(&c, NULL, 0, &cpr) : -ENOMEM;

	if (r < 0) {
		lu_cpr_clear(&cpr);
		return r;
	}
	*ret = cpr;
	*ret_numbers = steal_ptr(numbers);
	return 0;
}

/* --- numbers --- */

static bool is_handed(const struct lu_launch_inherited *in, const struct lu_cpr_fd *f)
{
	return in->kind == LU_INHERITED_CPR && f->id == 0 && !strcmp(in->cpr, f->name);
}

int lu_cpr_number(const struct lu_cpr *cpr, const struct lu_launch *l, int *numbers, struct lu_error *e)
{
	int next = LU_LAUNCH_MORE_FD + 1;

	for (size_t i = 0; i < cpr->n_fds; i++)
		numbers[i] = -1;
	for (size_t k = 0; k < l->n_inherited; k++) {
		const struct lu_launch_inherited *in = &l->inherited[k];
		bool found = false;

		for (size_t i = 0; i < cpr->n_fds && !found; i++) {
			found = is_handed(in, &cpr->fds[i]);
			if (found)
				numbers[i] = (int)in->fd;
		}
		if (in->kind == LU_INHERITED_CPR && !found)
			return lu_error_set(
				e, -ENOENT, "plug it in again, or exclude the VM",
				"descriptor %llu of QEMU's command line, %s, is not among the files that it leaves",
				(unsigned long long)in->fd, in->cpr);
	}
	for (size_t i = 0; i < cpr->n_fds; i++) {
		if (numbers[i] >= 0)
			continue;
		while (lu_inherited_at(l, next))
			next++;
		numbers[i] = next++;
	}
	return 0;
}

/* --- writing --- */

static uint8_t *put(uint8_t *p, const void *data, size_t n)
{
	memcpy(p, data, n);
	return p + n;
}

static uint8_t *put_u8(uint8_t *p, uint8_t v)
{
	*p = v;
	return p + 1;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	return put(p, b, sizeof(b));
}

static uint8_t *put_name(uint8_t *p, const char *name)
{
	size_t n = strlen(name) + 1;

	return put(put_u32(p, (uint32_t)n), name, n);
}

static int check_exec(const struct lu_cpr *cpr, const int *numbers, size_t *ret_len, struct lu_error *e)
{
	size_t len = 4 + 4 + 1 + 2 + SECTION_LEN + 4 + 1;

	if (cpr->n_fds > LU_CPR_FDS_MAX || cpr->n_devices > LU_CPR_DEVICES_MAX)
		return lu_error_set(e, -EFBIG, NULL, "CPR state: %zu files and %zu devices, at most %u and %u",
				    cpr->n_fds, cpr->n_devices, LU_CPR_FDS_MAX, LU_CPR_DEVICES_MAX);
	for (size_t i = 0; i < cpr->n_fds; i++) {
		if (!lu_cpr_name_valid(cpr->fds[i].name))
			return lu_error_set(e, -EINVAL, NULL, "CPR state: the name of file %zu can't be written", i);
		if (numbers[i] < 3)
			return lu_error_set(e, -EINVAL, NULL, "CPR state: file %s %" PRId32 " can't have the number %d",
					    cpr->fds[i].name, cpr->fds[i].id, numbers[i]);
		for (size_t k = 0; k < i; k++)
			if (numbers[k] == numbers[i])
				return lu_error_set(e, -EINVAL, NULL, "CPR state: two files have the number %d",
						    numbers[i]);
		len += 1 + 4 + strlen(cpr->fds[i].name) + 1 + 4 + 4;
	}
	for (size_t i = 0; i < cpr->n_devices; i++) {
		if (!lu_cpr_name_valid(cpr->devices[i].name))
			return lu_error_set(e, -EINVAL, NULL, "CPR state: the name of device %zu can't be written", i);
		len += 1 + 4 + strlen(cpr->devices[i].name) + 1 + 3 * 4;
	}
	if (len > LU_CPR_EXEC_BYTES_MAX)
		return lu_error_set(e, -EFBIG, NULL, "CPR state: %zu bytes, at most %u", len, LU_CPR_EXEC_BYTES_MAX);
	*ret_len = len;
	return 0;
}

int lu_cpr_encode_exec(const struct lu_cpr *cpr, const int *numbers, void **ret, size_t *ret_len, struct lu_error *e)
{
	uint8_t *data, *p;
	size_t len = 0;
	int r;

	r = check_exec(cpr, numbers, &len, e);
	if (r < 0)
		return r;
	data = p = malloc(len);
	if (!data)
		return -ENOMEM;
	p = put_u32(p, MAGIC);
	p = put_u32(p, VERSION);
	for (size_t i = 0; i < cpr->n_fds; i++) {
		p = put_u8(p, 1);
		p = put_name(p, cpr->fds[i].name);
		p = put_u32(p, (uint32_t)cpr->fds[i].id);
		p = put_u32(p, (uint32_t)numbers[i]);
	}
	p = put_u8(p, 0);
	p = put_u8(p, SUBSECTION);
	p = put_u8(p, SECTION_LEN);
	p = put(p, SECTION_NAME, SECTION_LEN);
	p = put_u32(p, SECTION_VERSION);
	for (size_t i = 0; i < cpr->n_devices; i++) {
		p = put_u8(p, 1);
		p = put_name(p, cpr->devices[i].name);
		p = put_u32(p, (uint32_t)cpr->devices[i].devid);
		p = put_u32(p, cpr->devices[i].ioas_id);
		p = put_u32(p, cpr->devices[i].hwpt_id);
	}
	put_u8(p, 0);
	*ret = data;
	*ret_len = len;
	return 0;
}
