// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file is root's and libvirt's own, but its names come from whoever defined the domain: no entity is
 * expanded, nothing is loaded from elsewhere, sizes are bounded. Elements are addressed by XPath:
 *
 *	/domstatus/@pid, @state				process; running, paused, …
 *	/domstatus/monitor[@type='unix']/@path		the socket that libvirt holds
 *	/domstatus/job/@async, blockjobs/@active	what libvirt is at
 *	/domstatus/devices/device/@alias		what it has
 *	/domstatus/memoryBackingDir/@path		where its memory files are
 *	/domstatus/domain				the domain itself
 *	.../metadata/update/@policy			of our namespace: what an update may cost it
 *
 * Refused by these notes: a job that is under way, and parts of a domain that are served by another process or
 * set up by libvirt at its start only. Everything else is judged by what QEMU has open and was started with.
 */
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdio.h>
#include <string.h>

#include "argv.h"
#include "documents.h"
#include "status.h"

#define NETWORKS "/etc/libvirt/qemu/networks/autostart"

struct status_doc {
	xmlDoc *xml;
	xmlXPathContext *at;
};

static void status_close(struct status_doc *d)
{
	xmlXPathFreeContext(d->at);
	xmlFreeDoc(d->xml);
}

static int status_open(const char *text, size_t size, struct status_doc *ret)
{
	struct status_doc d = { 0 };

	if (size > LU_STATUS_MAX)
		return -EBADMSG;
	d.xml = xmlReadMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (!d.xml)
		return -EBADMSG;
	d.at = xmlXPathNewContext(d.xml);
	if (!d.at) {
		status_close(&d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

static xmlXPathObject *find(const struct status_doc *d, const char *path)
{
	return xmlXPathEvalExpression((const xmlChar *)path, d->at);
}

static int count(const struct status_doc *d, const char *path)
{
	xmlXPathObject *o = find(d, path);
	int n = o && o->nodesetval ? o->nodesetval->nodeNr : 0;

	xmlXPathFreeObject(o);
	return n;
}

static char *content(xmlNode *node)
{
	xmlChar *s = xmlNodeGetContent(node);
	char *copy = s ? strdup((char *)s) : NULL;

	xmlFree(s);
	return copy;
}

/* The first node's text, or NULL. */
static char *text_of(const struct status_doc *d, const char *path)
{
	xmlXPathObject *o = find(d, path);
	char *s = o && o->nodesetval && o->nodesetval->nodeNr > 0 ? content(o->nodesetval->nodeTab[0]) : NULL;

	xmlXPathFreeObject(o);
	return s;
}

static int texts_of(const struct status_doc *d, const char *path, char ***ret)
{
	xmlXPathObject *o = find(d, path);
	int n = o && o->nodesetval ? o->nodesetval->nodeNr : 0, r = 0;
	_cleanup_(lu_argv_freep) char **list = calloc((size_t)n + 1, sizeof(*list));

	for (int i = 0; list && i < n; i++) {
		list[i] = content(o->nodesetval->nodeTab[i]);
		if (!list[i]) {
			r = -ENOMEM;
			break;
		}
	}
	xmlXPathFreeObject(o);
	if (!list || r < 0)
		return -ENOMEM;
	*ret = steal_ptr(list);
	return 0;
}

/* A job that libvirt would take up, or undo, when it reconnects. */
static void judge_jobs(const struct status_doc *d, struct lu_reasons *why)
{
	_cleanup_free_ char *job = text_of(d, "/domstatus/job/@async");

	if (job && strcmp(job, "none") != 0)
		lu_reasons_add(why, NULL, "wait until it has ended, or virsh domjobabort",
			       "libvirt is at work on it: %s", job);
	if (count(d, "/domstatus/blockjobs[@active='yes']"))
		lu_reasons_add(why, NULL, "wait until it has ended, or virsh blockjob --abort",
			       "a block job of libvirt's is under way");
	if (count(d, "/domstatus/domain/devices/disk/mirror"))
		lu_reasons_add(why, NULL, "virsh blockjob --pivot or --abort ends it",
			       "one of its disks is being copied");
}

static void judge_parts(const struct status_doc *d, struct lu_reasons *why)
{
	static const struct {
		const char *path, *what, *hint;
		bool container; /* no reason if iommufd stands in for it, which is seen at the process */
	} parts[] = {
		{ "/domstatus/domain/devices/tpm/backend[@type='emulator']",
		  "its TPM is served by another process (swtpm), which does not survive",
		  "take the TPM out of its XML, or exclude the VM" },
		{ "/domstatus/domain/devices/interface/backend[@type='passt']",
		  "its network is served by another process (passt), which does not survive",
		  "use a network or a bridge, or exclude the VM" },
		{ "/domstatus/domain/devices/interface/bandwidth",
		  "the <bandwidth> of an interface is set up by libvirt when the domain starts, and only then",
		  "take it out of its XML, or exclude the VM" },
		{ "/domstatus/domain/devices/interface[@type='direct']",
		  "its network is a macvtap (interface type='direct'), which can't be made again",
		  "use a network or a bridge, or exclude the VM" },
		{ "/domstatus/domain/devices/disk/source/reservations[@managed='yes']",
		  "its persistent reservations are served by another process (qemu-pr-helper)", "exclude the VM" },
		{ "/domstatus/domain/devices/hostdev[@type='pci'][not(driver/@iommufd='yes')]",
		  "a device is passed through to it by a legacy container of vfio, whose tables can't be handed over",
		  "libvirt 12.1 or newer gives it by iommufd: <driver iommufd='yes'/> in the <hostdev>", true },
		{ "/domstatus/domain/devices/hostdev[@type='mdev' or @type='usb' or @type='scsi' or @type='scsi_host']",
		  "a device of the host is given to it (mdev, USB or SCSI), which can't be carried over",
		  "detach it before the update, or exclude the VM" },
		{ "/domstatus/domain/cputune/cachetune | /domstatus/domain/cputune/memorytune",
		  "its share of caches or memory bandwidth (resctrl) is set up when the domain starts, and only then",
		  "take it out of its XML, or exclude the VM" },
		{ "/domstatus/domain/seclabel[@model='selinux'][not(@type='none')]",
		  "it is confined by SELinux, whose policy isn't loaded before the host's services",
		  "security_driver = \"none\" in /etc/libvirt/qemu.conf and restart libvirt's daemon, or <seclabel "
		  "type='none' model='selinux'/> in its XML; then shut it down and start it again" },
		{ "/domstatus/domain/launchSecurity", "its memory is encrypted by the processor", "exclude the VM" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (count(d, parts[i].path))
			(parts[i].container ? lu_reasons_add_kernel : lu_reasons_add)(why, NULL, parts[i].hint, "%s",
										      parts[i].what);
}

/* In the next kernel libvirt makes those networks that start with it, and puts the domain's taps into them. */
static int judge_networks(const struct status_doc *d, struct lu_reasons *why)
{
	_cleanup_(lu_argv_freep) char **names = NULL;
	int r = texts_of(d, "/domstatus/domain/devices/interface[@type='network']/source/@network", &names);

	for (char **p = names; r >= 0 && *p; p++) {
		_cleanup_free_ char *path = NULL, *hint = NULL;

		if (asprintf(&path, NETWORKS "/%s.xml", *p) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (strchr(*p, '/') || access(path, F_OK) == 0)
			continue;
		if (asprintf(&hint, "virsh net-autostart %s", *p) < 0)
			hint = NULL;
		lu_reasons_add(why, NULL, hint,
			       "its network \"%s\" does not start with libvirt, so it would be missing in "
			       "the next kernel",
			       *p);
	}
	return r;
}

static int read_disks(struct status_doc *d, struct lu_vm_domain *v)
{
	xmlXPathObject *o = find(d, "/domstatus/domain/devices/disk[alias]");
	int n = o && o->nodesetval ? o->nodesetval->nodeNr : 0, r = 0;

	v->disks = calloc(n > 0 ? (size_t)n : 1, sizeof(*v->disks));
	for (int i = 0; v->disks && r >= 0 && i < n; i++) {
		struct lu_vm_domain_disk *disk = &v->disks[v->n_disks++];

		d->at->node = o->nodesetval->nodeTab[i];
		disk->alias = text_of(d, "./alias/@name");
		r = disk->alias ? texts_of(d, "./source/privateData/nodenames/nodename/@name", &disk->nodes) : -ENOMEM;
	}
	d->at->node = NULL;
	xmlXPathFreeObject(o);
	return v->disks ? r : -ENOMEM;
}

/* libvirt says it to QEMU once, when the domain starts, and QEMU does not tell it. (Passwords of displays: runtime.c.) */
static void judge_losses(const struct status_doc *d, struct lu_reasons *losses)
{
	if (count(d, "/domstatus/domain/devices/memballoon/stats[@period > 0]"))
		lu_reasons_add(losses, NULL, "set it again afterwards: virsh dommemstat NAME --period SECONDS --live",
			       "how often its balloon is asked for statistics: they stay as they were");
	if (count(d, "/domstatus/domain/on_reboot[text() = 'destroy']"))
		lu_reasons_add(losses, NULL,
			       "set it again afterwards: virsh set-lifecycle-action NAME reboot destroy --live",
			       "that it ends when it reboots: it starts again instead");
}

/* What its metadata say in our namespace. A word that is not known is refused, so that nobody is left behind by a slip. */
static void read_policy(const struct status_doc *d, struct lu_vm_domain *v)
{
	_cleanup_free_ char *policy = text_of(d, "/domstatus/domain/metadata/*[local-name()='update']"
						 "[namespace-uri()='" LU_STATUS_NAMESPACE "']/@policy");
	int number = policy ? lu_doc_index(lu_vm_policies, policy) : LU_VM_REQUIRED;

	v->policy = number < 0 ? LU_VM_REQUIRED : number;
	if (number < 0)
		lu_reasons_add(&v->reasons, NULL, "virsh metadata sets it: required, best-effort or excluded",
			       "the policy in its metadata, \"%s\", is none", policy);
}

int lu_status_read(const char *text, size_t size, const char *file, struct lu_vm_domain *ret, struct lu_error *e)
{
	_cleanup_(status_close) struct status_doc d = { 0 };
	_cleanup_free_ char *pid = NULL, *state = NULL;
	struct lu_vm_domain v = { 0 };
	int r = status_open(text, size, &d);

	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: it is no XML", file);
	pid = text_of(&d, "/domstatus/@pid");
	state = text_of(&d, "/domstatus/@state");
	v.name = text_of(&d, "/domstatus/domain/name");
	v.uuid = text_of(&d, "/domstatus/domain/uuid");
	v.monitor = text_of(&d, "/domstatus/monitor[@type='unix']/@path");
	v.agent = text_of(&d, "/domstatus/domain/devices/channel[@type='unix'][target/@type='virtio']"
			      "[target/@name='org.qemu.guest_agent.0']/source/@path");
	v.memory = text_of(&d, "/domstatus/memoryBackingDir/@path");
	v.pid = pid ? atoi(pid) : 0;
	v.running = state && !strcmp(state, "running");
	if (v.pid <= 0 || !v.name || !v.uuid || !lu_uuid_valid(v.uuid) || !v.monitor || v.monitor[0] != '/') {
		lu_vm_domain_clear(&v);
		return lu_error_set(e, -EBADMSG, NULL, "%s: it is no status of a running domain of libvirt", file);
	}
	r = texts_of(&d, "/domstatus/devices/device/@alias", &v.devices);
	if (r >= 0)
		r = read_disks(&d, &v);
	if (r >= 0)
		r = judge_networks(&d, &v.reasons);
	if (r < 0) {
		lu_vm_domain_clear(&v);
		return r;
	}
	read_policy(&d, &v);
	judge_jobs(&d, &v.reasons);
	judge_parts(&d, &v.reasons);
	judge_losses(&d, &v.losses);
	*ret = v;
	return 0;
}

int lu_status_memory_dir(const char *text, size_t size, char **ret)
{
	_cleanup_(status_close) struct status_doc d = { 0 };
	int r = status_open(text, size, &d);

	if (r >= 0)
		*ret = text_of(&d, "/domstatus/memoryBackingDir/@path");
	return r;
}

int lu_status_uuid(const char *text, size_t size, char **ret)
{
	_cleanup_(status_close) struct status_doc d = { 0 };
	int r = status_open(text, size, &d);

	if (r < 0)
		return r;
	*ret = text_of(&d, "/domstatus/domain/uuid | /domain/uuid");
	if (*ret && lu_uuid_valid(*ret))
		return 0;
	free(steal_ptr(*ret));
	return -EBADMSG;
}

/* --- rewriting --- */

static int set(xmlNode *node, const char *attribute, const char *value)
{
	return xmlSetProp(node, (const xmlChar *)attribute, (const xmlChar *)value) ? 0 : -ENOMEM;
}

/* A console may stand twice: as <serial> and as the <console> that is the same. */
static int set_pty(const struct status_doc *d, const struct lu_status_pty *pty)
{
	xmlXPathObject *o;
	int r = 0;

	/* a name of ours goes into the expression: libvirt's aliases are letters, digits and the like */
	if (strspn(pty->alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
	    strlen(pty->alias))
		return -EBADMSG;
	if (xmlXPathRegisterVariable(d->at, (const xmlChar *)"alias", xmlXPathNewCString(pty->alias)) < 0)
		return -ENOMEM;
	o = find(d, "/domstatus/domain/devices/*[@type='pty'][alias/@name=$alias]");
	for (int i = 0; r >= 0 && o && o->nodesetval && i < o->nodesetval->nodeNr; i++) {
		xmlNode *device = o->nodesetval->nodeTab[i];

		if (xmlHasProp(device, (const xmlChar *)"tty"))
			r = set(device, "tty", pty->path);
		for (xmlNode *n = device->children; r >= 0 && n; n = n->next)
			if (n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, "source"))
				r = set(n, "path", pty->path);
	}
	xmlXPathFreeObject(o);
	return r;
}

int lu_status_rewrite(const char *text, size_t size, const char *file, pid_t pid, const struct lu_status_pty *ptys,
		      size_t n_ptys, char **ret, size_t *ret_size, struct lu_error *e)
{
	_cleanup_(status_close) struct status_doc d = { 0 };
	xmlChar *out = NULL;
	xmlNode *root;
	char number[16];
	int r = status_open(text, size, &d), n = 0;

	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: it is no XML", file);
	root = xmlDocGetRootElement(d.xml);
	if (!root || strcmp((const char *)root->name, "domstatus") != 0)
		return lu_error_set(e, -EBADMSG, NULL, "%s: it is no status of a domain of libvirt", file);
	snprintf(number, sizeof(number), "%d", (int)pid);
	r = set(root, "pid", number);
	for (size_t i = 0; r >= 0 && i < n_ptys; i++)
		r = set_pty(&d, &ptys[i]);
	if (r < 0)
		return lu_error_set(e, r, NULL, "%s: %s", file, strerror(-r));
	xmlDocDumpMemory(d.xml, &out, &n);
	if (!out)
		return -ENOMEM;
	*ret = strndup((char *)out, (size_t)n);
	*ret_size = (size_t)n;
	xmlFree(out);
	return *ret ? 0 : -ENOMEM;
}
