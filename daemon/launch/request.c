// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include "request.h"

#define REQUEST_PATH "update/request.json"
#define REQUEST_MAX (1u << 20)

size_t lu_request_restores(const struct lu_request_doc *doc)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return doc->restores ? (size_t)doc->restores : cpus > 0 ? (size_t)cpus : 1;
}

void lu_request_doc_clear(struct lu_request_doc *doc)
{
	lu_json_free(&lu_request_table, doc);
}

int lu_request_doc_read(int pkernfs_fd, struct lu_request_doc *ret, struct lu_error *e)
{
	return lu_json_load(pkernfs_fd, REQUEST_PATH, REQUEST_MAX, &lu_request_table, ret, e);
}

int lu_request_doc_write(int pkernfs_fd, const struct lu_request_doc *doc, struct lu_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = lu_json_encode_text(&lu_request_table, doc, &text, e);
	if (r < 0)
		return r;
	r = lu_write_file(pkernfs_fd, REQUEST_PATH, text, strlen(text), 0600);
	return r < 0 ? lu_error_set(e, r, "see luctl status for the space in pkernfs", REQUEST_PATH ": %s",
				    strerror(-r)) :
		       0;
}
