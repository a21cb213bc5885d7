// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of VMs, by name. Sources: NAME.json files of a directory, documents over
 * the bus, and after a jump the records in pkernfs. Name, uuid and socket are unique;
 * who comes first keeps them.
 *
 * A file that can't be used stays in the list as an entry with its error and without
 * uuid and socket, so that `luctl vm list` shows it; it never stands in another's
 * way. An entry on which an operation is under way is neither replaced nor removed.
 *
 * Reload compares texts: an unchanged file keeps its entry, with facts and
 * connection.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "vm-internal.h"

#define DEF_MAX (64U << 10)
#define VMS_MAX 4096

int lu_vms_new(struct lu_vms **ret, sd_event *event, const struct lu_vm_env *env)
{
	struct lu_vms *vms = calloc(1, sizeof(*vms));

	if (!vms)
		return -ENOMEM;
	vms->event = sd_event_ref(event);
	vms->pkernfs = strdup(env->pkernfs);
	vms->run = strdup(env->run);
	vms->any_fs = env->any_fs;
	vms->restore = env->restore;
	vms->restore_context = env->restore_context;
	vms->domains = env->domains;
	vms->held = env->held;
	if (!vms->pkernfs || !vms->run) {
		lu_vms_free(vms);
		return -ENOMEM;
	}
	*ret = vms;
	return 0;
}

void lu_vm_facts_clear(struct lu_vm_facts *f)
{
	for (size_t i = 0; i < f->n_ram; i++)
		free(f->ram[i].path);
	free(f->ram);
	for (size_t i = 0; i < f->n_ptys; i++) {
		free(f->ptys[i].name);
		free(f->ptys[i].path);
	}
	free(f->ptys);
	free(f->qemu_version);
	free(f->late);
	lu_reasons_clear(&f->reasons);
	lu_reasons_clear(&f->losses);
	lu_argv_free(f->devices);
	*f = (struct lu_vm_facts){ 0 };
}

void lu_vm_facts_begin(struct lu_vm *vm)
{
	lu_vm_facts_end(vm, false);
	vm->before = vm->facts;
	vm->facts = (struct lu_vm_facts){ 0 };
	vm->probing = true;
}

void lu_vm_facts_end(struct lu_vm *vm, bool whole)
{
	if (!vm->probing)
		return;
	vm->probing = false;
	lu_vm_facts_clear(whole ? &vm->before : &vm->facts);
	if (!whole)
		vm->facts = vm->before;
	vm->before = (struct lu_vm_facts){ 0 };
}

/* Frees what nobody has a reference to yet or any more. */
static void vm_free(struct lu_vm *vm)
{
	if (!vm)
		return;
	lu_vm_job_cancel(vm->job);
	lu_qmp_free(vm->qmp);
	lu_json_free(&lu_vm_def_table, &vm->def);
	lu_error_clear(&vm->error);
	lu_vm_facts_clear(&vm->facts);
	lu_vm_domain_clear(&vm->domain);
	lu_passthrough_free(vm->passthrough);
	closep(&vm->exe_fd);
	closep(&vm->pidfd);
	free(vm->plugged);
	free(vm->blocks);
	lu_argv_free(vm->argv);
	free(vm->firmware);
	free(vm->machine);
	free(vm->name);
	free(vm->origin);
	free(vm->text);
	free(vm);
}
DEFINE_CLEANUP(struct lu_vm *, vm_free)

struct lu_vm *lu_vm_ref(struct lu_vm *vm)
{
	if (vm)
		vm->refs++;
	return vm;
}

struct lu_vm *lu_vm_unref(struct lu_vm *vm)
{
	if (vm && --vm->refs == 0)
		vm_free(vm);
	return NULL;
}

void lu_vms_free(struct lu_vms *vms)
{
	if (!vms)
		return;
	while (vms->first) {
		struct lu_vm *vm = vms->first;

		vms->first = vm->next;
		lu_vm_job_cancel(vm->job);
		lu_vm_unref(vm);
	}
	lu_passthrough_free(vms->stored);
	sd_event_unref(vms->event);
	free(vms->pkernfs);
	free(vms->run);
	free(vms);
}

void lu_vms_on_change(struct lu_vms *vms, void (*changed)(void *context), void *context)
{
	vms->changed = changed;
	vms->changed_context = context;
}

void lu_vms_tell(const struct lu_vms *vms)
{
	if (vms->changed)
		vms->changed(vms->changed_context);
}

static void insert(struct lu_vms *vms, struct lu_vm *vm)
{
	struct lu_vm **p = &vms->first;

	lu_vms_tell(vms);
	lu_passthrough_claim(vms, vm);
	while (*p && strcmp((*p)->name, vm->name) < 0)
		p = &(*p)->next;
	vm->next = *p;
	*p = vm;
}

static void unlink_vm(struct lu_vms *vms, struct lu_vm *vm)
{
	lu_vms_tell(vms);
	for (struct lu_vm **p = &vms->first; *p; p = &(*p)->next) {
		if (*p == vm) {
			*p = vm->next;
			return;
		}
	}
}

/* Others may still have references. */
static void drop(struct lu_vms *vms, struct lu_vm *vm)
{
	unlink_vm(vms, vm);
	lu_passthrough_give_back(vms, vm);
	lu_vm_unref(vm);
}

/* What is known by its record alone makes room for a definition; by add_saved() it comes back if it is another VM. */
static void make_room(struct lu_vms *vms, const struct lu_vm_def *def)
{
	for (struct lu_vm *vm = vms->first, *next; vm; vm = next) {
		bool runs = vm->facts.state == LU_VM_RUNNING || vm->facts.state == LU_VM_PAUSED,
		     same = vm->def.uuid && !strcasecmp(vm->def.uuid, def->uuid);

		next = vm->next;
		if (vm->stored && !vm->job &&
		    (same || (!runs && ((def->name && !strcmp(vm->name, def->name)) ||
					(vm->def.qmp && !strcmp(vm->def.qmp, def->qmp))))))
			drop(vms, vm);
	}
}

/* Is name, uuid or socket of @def taken by somebody other than @self? */
static int check_unique(struct lu_vms *vms, const struct lu_vm_def *def, const struct lu_vm *self, struct lu_error *e)
{
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next) {
		const char *what = NULL;

		if (vm == self || vm->error.code)
			continue;
		if (!strcmp(vm->name, def->name))
			what = "name";
		else if (!strcasecmp(vm->def.uuid, def->uuid))
			what = "uuid";
		else if (!strcmp(vm->def.qmp, def->qmp))
			what = "qmp";
		if (what)
			return lu_error_set(e, -EEXIST, "each VM needs a name, a uuid and a socket of its own",
					    "VM %s: its %s is that of VM %s%s%s", def->name, what, vm->name,
					    vm->origin ? ", " : "", vm->origin ?: "");
	}
	return 0;
}

/* Takes over @def. */
static int make(struct lu_vms *vms, struct lu_vm_def *def, const char *origin, struct lu_vm **ret)
{
	_cleanup_(vm_freep) struct lu_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->vms = vms;
	vm->refs = 1;
	vm->index = 0xffff;
	vm->bad_pages = UINT64_MAX;
	vm->fdset = -1;
	vm->exe_fd = vm->pidfd = -EBADF;
	vm->def = *def;
	*def = (struct lu_vm_def){ 0 };
	for (char *p = vm->def.uuid; p && *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p += 'a' - 'A';
	if (vm->def.name && !(vm->name = strdup(vm->def.name)))
		return -ENOMEM;
	if (origin && !(vm->origin = strdup(origin)))
		return -ENOMEM;
	*ret = steal_ptr(vm);
	return 0;
}

static int add(struct lu_vms *vms, struct lu_vm_def *def, const char *origin, struct lu_vm **ret, struct lu_error *e)
{
	struct lu_vm *vm;
	int r;

	make_room(vms, def);
	r = check_unique(vms, def, NULL, e);
	if (r >= 0 && def->clock == LU_VM_CLOCK_AGENT && !def->agent)
		r = lu_error_set(e, -EINVAL, "add \"agent\", the socket of its guest agent's channel",
				 "VM %s: its clock is to be set by a guest agent, but no agent is named", def->name);
	if (r >= 0 && lu_vms_count(vms) >= VMS_MAX)
		r = lu_error_set(e, -E2BIG, NULL, "VM %s: there are %d VMs already", def->name, VMS_MAX);
	if (r >= 0)
		r = make(vms, def, origin, &vm);
	lu_json_free(&lu_vm_def_table, def);
	if (r < 0)
		return r;
	insert(vms, vm);
	if (ret)
		*ret = vm;
	return 0;
}

int lu_vms_add(struct lu_vms *vms, const char *json, struct lu_vm **ret, struct lu_error *e)
{
	struct lu_vm_def def;
	int r;

	r = lu_json_decode_text(json, strlen(json), DEF_MAX, "definition", &lu_vm_def_table, &def, e);
	return r < 0 ? r : add(vms, &def, NULL, ret, e);
}

/* What a file is called may be anything; what a VM is called in documents may not. */
static char *make_name(const char *file)
{
	char *name = strndup(file, 64);

	for (size_t i = 0; name && name[i]; i++)
		if (!lu_name_valid((const char[]){ i ? '_' : name[i], i ? name[i] : '\0', '\0' }))
			name[i] = '_';
	return name;
}

/* An entry that only carries @why; takes it over. */
static int add_bad(struct lu_vms *vms, const char *name, const char *origin, struct lu_error *why, struct lu_vm **ret)
{
	struct lu_vm_def def = { 0 };
	struct lu_vm *vm;
	int r;

	r = make(vms, &def, origin, &vm);
	if (r < 0)
		return r;
	lu_error_move(&vm->error, why);
	vm->name = make_name(name);
	if (!vm->name) {
		vm_free(vm);
		return -ENOMEM;
	}
	insert(vms, vm);
	*ret = vm;
	return 0;
}

static struct lu_vm *by_origin(struct lu_vms *vms, const char *origin)
{
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		if (vm->origin && !strcmp(vm->origin, origin))
			return vm;
	return NULL;
}

static int decode_file(struct lu_vms *vms, const char *text, const char *path, const char *name, struct lu_vm **ret,
		       struct lu_error *e)
{
	struct lu_vm_def def;
	int r;

	r = lu_json_decode_text(text, strlen(text), DEF_MAX, path, &lu_vm_def_table, &def, e);
	if (r < 0)
		return r;
	if (strcmp(def.name, name) != 0) {
		r = lu_error_set(e, -EINVAL, "name the file after the VM", "%s: it defines VM %s, not %s", path,
				 def.name, name);
		lu_json_free(&lu_vm_def_table, &def);
		return r;
	}
	return add(vms, &def, path, ret, e);
}

static int load_file(struct lu_vms *vms, int dir_fd, const char *dir, const char *file)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	_cleanup_free_ char *path = NULL, *text = NULL, *name = strndup(file, strlen(file) - 5);
	struct lu_vm *old, *vm = NULL;
	int r;

	if (!name || asprintf(&path, "%s/%s", dir, file) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = lu_read_file(dir_fd, file, DEF_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0; /* removed meanwhile */
	if (r < 0)
		lu_error_set(&why, r, NULL, "%s: %s", path, strerror(-r));
	old = by_origin(vms, path);
	if (old && (old->job || (text && old->text && !strcmp(text, old->text) && old->error.code != -EEXIST))) {
		old->seen = true;
		return 0;
	}
	if (old) {
		drop(vms, old);
	}
	if (r >= 0)
		r = decode_file(vms, text, path, name, &vm, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		r = add_bad(vms, name, path, &why, &vm);
	if (r < 0)
		return r;
	vm->text = steal_ptr(text);
	vm->seen = true;
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_definition(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 5, ".json");
}

int lu_vms_load(struct lu_vms *vms, const char *dir, struct lu_error *e)
{
	_cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int n = 0, r = 0;

	if (dir_fd < 0 && errno != ENOENT)
		return lu_error_set(e, -errno, NULL, "%s: %s", dir, strerror(errno));
	if (dir_fd >= 0) {
		n = scandirat(dir_fd, ".", &list, is_definition, by_name);
		if (n < 0)
			return lu_error_set(e, -errno, NULL, "%s: %s", dir, strerror(errno));
	}
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		vm->seen = !vm->origin || vm->job;
	for (int i = 0; i < n; i++) {
		if (r >= 0)
			r = load_file(vms, dir_fd, dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (struct lu_vm *vm = vms->first, *next; r >= 0 && vm; vm = next) {
		next = vm->next;
		if (vm->seen)
			continue;
		drop(vms, vm);
	}
	if (r >= 0 && vms->domains) {
		_cleanup_error_ struct lu_error why = LU_ERROR_INIT;

		/* that others' notes can't be read costs their guests only */
		r = vms->domains(vms, &why) == -ENOMEM ? -ENOMEM : 0;
	}
	/* without pkernfs nothing is saved in it */
	if (r >= 0 && lu_vms_add_saved(vms, NULL, NULL) == -ENOMEM)
		r = -ENOMEM;
	return r < 0 ? lu_error_set(e, r, NULL, "%s: %s", dir, strerror(-r)) : 0;
}

static int file_changed(struct lu_vms *vms, int dir_fd, const char *dir, const char *file)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	struct lu_vm *vm;
	int r;

	if (asprintf(&path, "%s/%s", dir, file) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	vm = by_origin(vms, path);
	if (!vm)
		return 1;
	vm->seen = true;
	r = lu_read_file(dir_fd, file, DEF_MAX, &text, NULL);
	return r == -ENOMEM ? r : !text != !vm->text || (text && strcmp(text, vm->text) != 0);
}

int lu_vms_changed(struct lu_vms *vms, const char *dir, char **ret_file)
{
	_cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int n = 0, r = 0;

	if (dir_fd < 0 && errno != ENOENT)
		return -errno;
	if (dir_fd >= 0)
		n = scandirat(dir_fd, ".", &list, is_definition, by_name);
	if (n < 0)
		return -errno;
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		vm->seen = !vm->origin;
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = file_changed(vms, dir_fd, dir, list[i]->d_name);
		if (r > 0 && !*ret_file)
			*ret_file = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (struct lu_vm *vm = vms->first; r == 0 && vm; vm = vm->next) {
		if (vm->seen)
			continue;
		r = 1;
		*ret_file = strdup(vm->origin);
	}
	return r > 0 && !*ret_file ? -ENOMEM : r;
}

/* A name that is free: its own, else its UUID. */
static char *name_for(struct lu_vms *vms, const struct lu_vm_domain *d)
{
	return strdup(lu_name_valid(d->name) && !lu_vms_find(vms, d->name) ? d->name : d->uuid);
}

static int add_domain(struct lu_vms *vms, struct lu_vm_domain *d)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	struct lu_vm *vm = lu_vms_find(vms, d->uuid);
	struct lu_vm_def def = { .uuid = strdup(d->uuid),
				 .qmp = strdup(d->monitor),
				 .agent = d->agent ? strdup(d->agent) : NULL,
				 .clock = LU_VM_CLOCK_DEFAULT,
				 .policy = d->policy };
	int r;

	if (vm && !vm->stored) {
		vm->defined_twice = true;
		lu_json_free(&lu_vm_def_table, &def);
		return 0;
	}
	make_room(vms, &def);
	def.name = name_for(vms, d);
	r = def.name && def.uuid && def.qmp ? 0 : -ENOMEM;
	if (r >= 0)
		r = add(vms, &def, NULL, &vm, &why);
	lu_json_free(&lu_vm_def_table, &def);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return add_bad(vms, d->uuid, NULL, &why, &vm);
	vm->domain = *d;
	*d = (struct lu_vm_domain){ 0 };
	return 0;
}

/* The entry of a domain that is there still, with what is noted of it now; false: it is another one, or another QEMU. */
static bool still_there(struct lu_vm *vm, struct lu_vm_domain *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lu_vm_domain *d = &list[i];

		if (!d->uuid || strcasecmp(d->uuid, vm->domain.uuid) != 0 || d->pid != vm->domain.pid ||
		    strcmp(d->monitor, vm->def.qmp) != 0)
			continue;
		lu_vm_domain_clear(&vm->domain);
		vm->domain = *d;
		vm->def.policy = d->policy;
		*d = (struct lu_vm_domain){ 0 };
		return true;
	}
	return false;
}

int lu_vms_set_domains(struct lu_vms *vms, struct lu_vm_domain *list, size_t n)
{
	int r = 0;

	for (struct lu_vm *vm = vms->first, *next; vm; vm = next) {
		next = vm->next;
		vm->defined_twice = false;
		if (lu_vm_is_domain(vm) && !still_there(vm, list, n) && !vm->job)
			drop(vms, vm);
	}
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (list[i].uuid)
			r = add_domain(vms, &list[i]);
	return r;
}

static int is_uuid_dir(const struct dirent *d)
{
	return lu_uuid_valid(d->d_name);
}

/* A record that can't be used, with what is needed to forget it. */
static int add_bad_saved(struct lu_vms *vms, const char *name, const char *uuid, struct lu_error *why)
{
	struct lu_vm *vm;
	int r;

	r = add_bad(vms, name && !lu_vms_find(vms, name) ? name : uuid, NULL, why, &vm);
	if (r < 0)
		return r;
	vm->stored = true;
	vm->def.uuid = strdup(uuid);
	return vm->def.uuid ? 0 : -ENOMEM;
}

/* Its unit must start no second QEMU, unless the one that was saved is there. */
static void mark_waiting(struct lu_vms *vms, const char *uuid, const struct lu_vm *known, const struct lu_saved *saved,
			 const struct lu_launch *launch)
{
	const char *const units[] = { saved->unit, launch->unit, known ? known->def.unit : NULL };
	bool asked = false;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!units[i] ||
		    snprintf(path, sizeof(path), "%s/resumed/%s", vms->run, units[i]) >= (int)sizeof(path) ||
		    access(path, F_OK) == 0)
			continue;
		if (!asked && (known ? lu_vm_lives(known) : lu_vms_user_of_memory(vms, uuid) > 0))
			return;
		asked = true;
		(void)lu_marker_write(vms->run, units[i], launch->tpm ? launch->tpm->unit : NULL, NULL);
	}
}

static int add_record(struct lu_vms *vms, const char *uuid, struct lu_saved *saved, struct lu_launch *launch)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	struct lu_vm_def def = { .name = steal_ptr(launch->name),
				 .uuid = steal_ptr(launch->uuid),
				 .qmp = steal_ptr(launch->qmp),
				 .unit = steal_ptr(launch->unit),
				 .agent = steal_ptr(launch->agent),
				 .clock = LU_VM_CLOCK_DEFAULT };
	struct lu_vm *vm;
	int r;

	/* its name may be that of another VM by now */
	if (lu_vms_find(vms, def.name)) {
		free(def.name);
		def.name = strdup(uuid);
	}
	r = def.name ? add(vms, &def, NULL, &vm, &why) : -ENOMEM;
	if (r == -EEXIST)
		return add_bad_saved(vms, saved->name, uuid, &why);
	if (r >= 0)
		vm->stored = true;
	return r;
}

static int add_saved(struct lu_vms *vms, int root, const char *uuid, const char *update)
{
	_cleanup_error_ struct lu_error why = LU_ERROR_INIT;
	_cleanup_(lu_launch_clear) struct lu_launch launch = { 0 };
	_cleanup_(lu_saved_clear) struct lu_saved saved = { 0 };
	struct lu_vm *known = lu_vms_find(vms, uuid);
	_cleanup_close_ int dir = -EBADF;
	int r, waits;

	if (known && known->job)
		return 0;
	dir = lu_store_open(root, uuid, false, &why);
	if (dir < 0)
		return known ? 0 : add_bad_saved(vms, NULL, uuid, &why);
	waits = lu_store_waits(dir, &saved, &why);
	if (!waits && (!saved.update || !update || strcmp(saved.update, update) != 0))
		return 0;
	r = lu_launch_read(dir, &launch, saved.update ? &why : NULL);
	if (r == -ENOMEM)
		return r;
	if (waits)
		mark_waiting(vms, uuid, known, &saved, &launch);
	if (known)
		return 0;
	if (!saved.update)
		return add_bad_saved(vms, launch.name, uuid, &why);
	return r < 0 ? add_bad_saved(vms, saved.name, uuid, &why) : add_record(vms, uuid, &saved, &launch);
}

int lu_vms_add_saved(struct lu_vms *vms, const char *update, struct lu_error *e)
{
	_cleanup_close_ int root = lu_vms_pkernfs(vms, e);
	struct dirent **list = NULL;
	int n, r = 0;

	if (root < 0)
		return root;
	n = scandirat(root, "vm", &list, is_uuid_dir, by_name);
	if (n < 0)
		return errno == ENOENT ? 0 : lu_error_set(e, -errno, NULL, "pkernfs: vm: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r >= 0)
			r = add_saved(vms, root, list[i]->d_name, update);
		free(list[i]);
	}
	free(list);
	return r < 0 ? lu_error_set(e, r, NULL, "pkernfs: vm: %s", strerror(-r)) : 0;
}

struct lu_vm *lu_vms_find(struct lu_vms *vms, const char *key)
{
	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		if (!strcmp(vm->name, key) || (vm->def.uuid && !strcasecmp(vm->def.uuid, key)))
			return vm;
	return NULL;
}

int lu_vms_remove(struct lu_vms *vms, const char *key, struct lu_error *e)
{
	struct lu_vm *vm = lu_vms_find(vms, key);

	if (!vm)
		return lu_error_set(e, -ENOENT, "luctl vm list shows all", "there is no VM \"%s\"", key);
	if (vm->job)
		return lu_error_set(e, -EBUSY, "wait until it is done", "VM %s: an operation is under way", vm->name);
	drop(vms, vm);
	return 0;
}

struct lu_vm *lu_vms_first(struct lu_vms *vms)
{
	return vms->first;
}

struct lu_vm *lu_vm_next(struct lu_vm *vm)
{
	return vm->next;
}

size_t lu_vms_count(struct lu_vms *vms)
{
	size_t n = 0;

	for (struct lu_vm *vm = vms->first; vm; vm = vm->next)
		n++;
	return n;
}
