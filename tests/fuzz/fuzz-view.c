// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two mountinfo texts, the host's and a QEMU's, parted by FF FE: whoever may mount something chooses paths and sources.
 * What is judged fit to be made again can be written down, is the same when it is read, and is what the namespace is.
 */
#include "fuzz.h"
#include "view.h"

static void write_down(const struct lu_view *v, const char *own)
{
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	_cleanup_free_ char *text = NULL, *host = NULL;
	struct lu_view again = { 0 };

	promise(lu_json_encode_text(&lu_view_table, v, &text, &e) == 0);
	promise(lu_json_decode_text(text, strlen(text), 16U << 20, "view", &lu_view_table, &again, &e) == 0);
	promise(again.n_mounts == v->n_mounts);
	/* what is mounted from there is replaced by something else */
	promise(strstr(own, "/systemd-private-") || lu_view_check(&again, own, true, &e) == 0);
	for (size_t i = 0; i < v->n_mounts; i++) {
		host = lu_view_host_path(v, v->mounts[i].path);
		promise(!host || host[0] == '/');
		free(steal_ptr(host));
	}
	lu_view_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *stop = size ? memmem(data, size, "\xff\xfe", 2) : NULL;
	size_t n = stop ? (size_t)(stop - data) : size;
	char *host = exact_text((const char *)data, n), *own;
	struct lu_reasons why = { 0 };
	struct lu_view v = { 0 };

	own = stop ? exact_text((const char *)stop + 2, size - n - 2) : exact_text("", 0);
	if (lu_view_compose(host, own, &v, &why) == 0 && !lu_reasons_any(&why))
		write_down(&v, own);
	lu_view_clear(&v);
	lu_reasons_clear(&why);
	free(host);
	free(own);
	return 0;
}
