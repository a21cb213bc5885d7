// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest has beneath its disks, asked of QEMU and compared with its command line (daemon/blocks): a part of PROBE.
 *
 *	query-named-block-nodes, query-block	the graph, and which device has what
 *	x-debug-query-block-graph		which node is beneath which, of a QEMU before 10.1
 *
 * Where it is something else that can be written down, the next QEMU gets a command line that opens that: PREPARE puts
 * it into launch.json.
 *
 * What PROBE has seen is kept as a text. VERIFY and REPLACE ask again when the guest is saved: what has changed since the
 * verdict is a reason to stop, whatever it is.
 */
#include <string.h>

#include "argv.h"
#include "blocks.h"
#include "vm-internal.h"

static int keep(struct json_object **to, struct json_object *data)
{
	json_object_put(*to);
	*to = json_object_get(data);
	return 0;
}

static int on_nodes(struct lu_vm_job *j, struct json_object *data)
{
	return keep(&j->block_nodes, data);
}

static int on_fronts(struct lu_vm_job *j, struct json_object *data)
{
	return keep(&j->block_fronts, data);
}

static int on_edges(struct lu_vm_job *j, struct json_object *data)
{
	return keep(&j->block_edges, data);
}

int lu_disks_ask_nodes(struct lu_vm_job *j)
{
	struct json_object *args = json_object_new_object();

	if (!args || lu_json_add_bool(args, "flat", true) < 0) {
		json_object_put(args);
		return -ENOMEM;
	}
	return lu_vm_job_try(j, "query-named-block-nodes", args, LU_TOLERATE_REFUSAL, on_nodes);
}

int lu_disks_ask_fronts(struct lu_vm_job *j)
{
	return lu_vm_job_try(j, "query-block", NULL, LU_TOLERATE_REFUSAL, on_fronts);
}

/* Nodes that tell what is beneath them need not be asked twice. */
int lu_disks_ask_edges(struct lu_vm_job *j)
{
	for (size_t i = 0;
	     json_object_is_type(j->block_nodes, json_type_array) && i < json_object_array_length(j->block_nodes); i++)
		if (!lu_member(json_object_array_get_idx(j->block_nodes, i), "children", json_type_array))
			return lu_vm_job_try(j, "x-debug-query-block-graph", NULL, LU_TOLERATE_REFUSAL, on_edges);
	return 0;
}

static int look(struct lu_vm_job *j, struct lu_blocks **ret_blocks, struct lu_block_files **ret_files,
		struct lu_error *e)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (proc < 0)
		return -errno;
	r = lu_blocks_read(j->block_nodes, j->block_fronts, j->block_edges, ret_blocks, e);
	if (r >= 0)
		r = lu_block_files_read(proc, j->vm->facts.pid, ret_files);
	return r;
}

/* If the next QEMU can be given what is there now, that is no reason against the VM, but the operator has to know. */
static int judge(struct lu_vm_job *j, const struct lu_blocks *blocks, const struct lu_block_files *files)
{
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	struct lu_vm *vm = j->vm;
	int r = lu_blocks_judge(blocks, j->launch.argv, files, &why);

	if (r < 0 || !lu_reasons_any(&why))
		return r;
	r = lu_blocks_rewrite(blocks, j->launch.argv, files, &vm->argv);
	if (r < 0)
		return r;
	if (r == 0) {
		lu_reasons_move(&vm->facts.reasons, &why);
		return 0;
	}
	for (size_t i = 0; i < why.n; i++)
		lu_reasons_add(
			&vm->facts.losses, NULL,
			"its next QEMU gets what is there now; change the definition that it is started from, too",
			"the command line that it was started with: %s", why.list[i].what);
	return 0;
}

int lu_disks_judge(struct lu_vm_job *j)
{
	_cleanup_(lu_block_files_freep) struct lu_block_files *files = NULL;
	_cleanup_(lu_blocks_freep) struct lu_blocks *blocks = NULL;
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;
	struct lu_vm *vm = j->vm;
	int r = look(j, &blocks, &files, &e);

	free(vm->blocks);
	vm->blocks = NULL;
	lu_argv_free(vm->argv);
	vm->argv = NULL;
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return lu_vm_refuse(vm, e.hint, "%s", e.what ?: "what is beneath its disks can't be looked at");
	r = lu_blocks_text(blocks, files, &vm->blocks);
	if (r < 0 || !j->launch.argv) /* which has a reason of its own */
		return r;
	return judge(j, blocks, files);
}

/* The first line in which they differ, for people. */
static const char *difference(const char *then, const char *now)
{
	size_t at = 0;

	for (size_t i = 0; then[i] && then[i] == now[i]; i++)
		if (then[i] == '\n')
			at = i + 1;
	return now[at] ? now + at : then + at;
}

int lu_disks_same(struct lu_vm_job *j)
{
	_cleanup_(lu_block_files_freep) struct lu_block_files *files = NULL;
	_cleanup_(lu_blocks_freep) struct lu_blocks *blocks = NULL;
	_cleanup_free_ char *now = NULL;
	const char *line;
	int r;

	if (!j->vm->blocks || !lu_vm_job_answers(j)) /* a daemon after the one that has judged it goes back, not on */
		return 0;
	r = look(j, &blocks, &files, &j->error);
	if (r >= 0)
		r = lu_blocks_text(blocks, files, &now);
	if (r < 0 || !strcmp(now, j->vm->blocks))
		return r;
	line = difference(j->vm->blocks, now);
	return lu_error_set(&j->error, -EBUSY, "do not change disks during an update; try again",
			    "VM %s: what is beneath its disks has changed since the check: %.*s", j->vm->name,
			    (int)strcspn(line, "\n"), line);
}
