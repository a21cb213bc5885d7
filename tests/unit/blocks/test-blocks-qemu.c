// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real QEMUs whose disks are changed while they run, each in one way, and others whose disks are not: what is said of
 * them. The guest stands still; there is none.
 *
 *	LUCTL_TEST_QEMU=/path/of/qemu-system-x86_64 test-blocks-qemu [CASE|PART/OF]
 */
#include <fcntl.h>
#include <signal.h>

#include "test.h"

#include "argv.h"
#include "blocks.h"
#include "qemu.h"

#define WORDS_MAX 48

static const char *qemu = "/usr/bin/qemu-system-x86_64", *only;
static size_t part, of = 1;
static char dir[64];

static void look(struct lu_blocks **blocks, struct lu_block_files **files)
{
	struct json_object *nodes = qemu_query("query-named-block-nodes", "{\"flat\": true}"),
			   *fronts = qemu_query("query-block", "{}"),
			   *edges = qemu_query("x-debug-query-block-graph", "{}");
	int proc = open("/proc", O_RDONLY | O_DIRECTORY);
	_cleanup_error_ struct lu_error e = LU_ERROR_INIT;

	expect(lu_blocks_read(nodes, fronts, edges, blocks, &e) == 0, "%s", e.what);
	assert_int_equal(lu_block_files_read(proc, qemu_pid, files), 0);
	close(proc);
	json_object_put(nodes);
	json_object_put(fronts);
	json_object_put(edges);
}

/* --- cases --- */

#define NODES                                                                                                      \
	"-blockdev", "{\"driver\":\"file\",\"node-name\":\"base-file\",\"filename\":\"base.qcow2\"}", "-blockdev", \
		"{\"driver\":\"qcow2\",\"node-name\":\"base\",\"file\":\"base-file\",\"backing\":null}"
#define VIRTIO(_drive) "-device", "virtio-blk-pci,drive=" _drive ",id=disk"
#define OVERLAY                                                                             \
	CMD("blockdev-add", "\"driver\":\"qcow2\",\"node-name\":\"over\",\"backing\":null," \
			    "\"file\":{\"driver\":\"file\",\"filename\":\"over.qcow2\"}"),  \
		CMD("blockdev-snapshot", "\"node\":\"base\",\"overlay\":\"over\"")

static const struct {
	const char *name, *words[24], *commands[8], *reason; /* NULL: none */
	bool carried;                                        /* the next QEMU can be given the same */
} cases[] = {
	/* as they were started */
	{ "drive", { "-drive", "file=top.qcow2,if=none,id=d0", VIRTIO("d0") } },
	{ "drive-format",
	  { "-drive", "file=top.qcow2,if=none,id=d0,format=qcow2,cache=none,throttling.bps-total=1000000",
	    VIRTIO("d0") } },
	{ "drive-virtio",
	  { "-drive", "file=raw.img,if=virtio,format=raw", "-drive",
	    "file=raw2.img,if=virtio,format=raw,readonly=on" } },
	{ "drive-json",
	  { "-drive",
	    "if=none,id=d0,file=json:{\"driver\":\"qcow2\",,\"file\":{\"driver\":\"file\",,\"filename\":\"top.qcow2\"}}",
	    VIRTIO("d0") } },
	{ "drive-dotted",
	  { "-drive", "if=none,id=d0,driver=qcow2,file.driver=file,file.filename=top.qcow2,file.locking=on",
	    VIRTIO("d0") } },
	{ "short", { "-hda", "raw.img", "-cdrom", "cd.iso" } },
	{ "bare", { "raw.img", "-drive", "file=raw2.img,format=raw,index=1" } },
	{ "pflash",
	  { "-drive", "if=pflash,format=raw,readonly=on,file=code.img", "-drive",
	    "if=pflash,format=raw,file=vars.img" } },
	{ "pflash-node",
	  { "-blockdev", "driver=file,node-name=code,filename=code.img,read-only=on", "-machine", "pflash0=code" } },
	{ "empty-cd", { "-device", "ide-cd,id=cd" } },
	{ "empty-drive", { "-drive", "if=none,id=c,media=cdrom", "-device", "ide-cd,drive=c" } },
	{ "file", { "-blockdev", "driver=file,node-name=disk,filename=raw.img,cache.direct=off", VIRTIO("disk") } },
	{ "implied", { "-blockdev", "file,node-name=disk,filename=raw.img", VIRTIO("disk") } },
	{ "implicit-chain",
	  { "-blockdev", "driver=qcow2,node-name=disk,file.driver=file,file.filename=top.qcow2", VIRTIO("disk") } },
	{ "nodes", { NODES, VIRTIO("base") } },
	{ "raw-part",
	  { "-drive", "if=none,id=part,driver=raw,offset=1M,size=2M,file.filename=raw.img", VIRTIO("part") } },
	{ "raw-part-json",
	  { "-blockdev",
	    "{\"driver\":\"raw\",\"node-name\":\"part\",\"offset\":1048576,\"file\":{\"driver\":\"file\",\"filename\":\"raw.img\"}}",
	    "-device", "{\"driver\":\"virtio-blk-pci\",\"drive\":\"part\",\"id\":\"disk\"}" } },
	{ "throttle",
	  { "-object", "throttle-group,id=g,x-bps-total=1000000", NODES, "-blockdev",
	    "driver=throttle,node-name=slow,throttle-group=g,file=base", VIRTIO("slow") } },
	{ "copy-on-read",
	  { "-blockdev",
	    "driver=copy-on-read,node-name=cor,file.driver=qcow2,file.file.driver=file,file.file.filename=top.qcow2",
	    VIRTIO("cor") } },
	{ "data-file", { "-drive", "file=data.qcow2,if=none,id=d0", VIRTIO("d0") } },
	{ "json-header", { "-drive", "file=json.qcow2,if=none,id=d0", VIRTIO("d0") } },
	{ "null", { "-blockdev", "driver=null-co,node-name=nothing,size=1048576,read-zeroes=on", VIRTIO("nothing") } },
	{ "absolute-link", { "-drive", "file=link.img,if=none,id=d0,format=raw", VIRTIO("d0") } },
	{ "no-ids",
	  { "-blockdev", "driver=file,node-name=a,filename=raw.img", "-blockdev",
	    "driver=file,node-name=b,filename=raw2.img", "-device", "{\"driver\":\"virtio-blk-pci\",\"drive\":\"a\"}",
	    "-device", "virtio-blk-pci,drive=b" } },
	{ "usb",
	  { "-device", "qemu-xhci", "-drive", "file=raw.img,if=none,id=u,format=raw", "-device",
	    "usb-storage,drive=u,id=stick" } },
	{ "usb-node",
	  { "-device", "qemu-xhci", "-blockdev", "driver=file,node-name=a,filename=raw.img", "-device",
	    "usb-storage,drive=a" } },
	{ "scsi",
	  { "-device", "virtio-scsi-pci", "-blockdev", "driver=file,node-name=a,filename=raw.img", "-device",
	    "scsi-hd,drive=a,id=s", "-blockdev", "driver=file,node-name=c,filename=cd.iso,read-only=on", "-device",
	    "scsi-cd,drive=c" } },
	{ "nvme", { "-blockdev", "driver=file,node-name=a,filename=raw.img", "-device", "nvme,drive=a,serial=1" } },
	/* changed while they run */
	{ "snapshot",
	  { NODES, VIRTIO("base") },
	  { "!qemu-img create -q -f qcow2 over.qcow2 16M", OVERLAY },
	  "over.qcow2",
	  true },
	{ "snapshot-sync",
	  { "-drive", "file=base.qcow2,if=none,id=d0", VIRTIO("d0") },
	  { CMD("blockdev-snapshot-sync", "\"device\":\"d0\",\"snapshot-file\":\"sync.qcow2\",\"format\":\"qcow2\"") },
	  "has sync.qcow2 open, where the command line opens base.qcow2",
	  true },
	{ "snapshot-below",
	  { "-object", "throttle-group,id=g", NODES, "-blockdev",
	    "driver=throttle,node-name=slow,throttle-group=g,file=base", VIRTIO("slow") },
	  { "!qemu-img create -q -f qcow2 over.qcow2 16M", OVERLAY },
	  "is on node \"over\", over.qcow2, where the command line has \"base\"" },
	{ "mirror",
	  { NODES, VIRTIO("base") },
	  { "!qemu-img create -q -f qcow2 copy.qcow2 16M",
	    CMD("blockdev-add",
		"\"driver\":\"qcow2\",\"node-name\":\"copy\",\"file\":{\"driver\":\"file\",\"filename\":\"copy.qcow2\"}"),
	    CMD("blockdev-mirror", "\"job-id\":\"j\",\"device\":\"base\",\"target\":\"copy\",\"sync\":\"full\""),
	    "@ready", CMD("block-job-complete", "\"device\":\"j\""), "@gone" },
	  "copy.qcow2, where the command line has \"base\"",
	  true },
	{ "active-commit",
	  { "-drive", "file=top.qcow2,if=none,id=d0", VIRTIO("d0") },
	  { CMD("block-commit", "\"job-id\":\"j\",\"device\":\"d0\""), "@ready",
	    CMD("block-job-complete", "\"device\":\"j\""), "@gone" },
	  "has base.qcow2 open, where the command line opens top.qcow2",
	  true },
	{ "commit-between",
	  { "-drive", "file=top.qcow2,if=none,id=d0", VIRTIO("d0") },
	  { CMD("block-commit", "\"job-id\":\"j\",\"device\":\"d0\",\"top\":\"mid.qcow2\",\"base\":\"base.qcow2\""),
	    "@gone" },
	  NULL },
	{ "commit-between-nodes",
	  { NODES, "-blockdev", "driver=qcow2,node-name=mid,file.driver=file,file.filename=mid.qcow2,backing=base",
	    "-blockdev", "driver=qcow2,node-name=top,file.driver=file,file.filename=top.qcow2,backing=mid",
	    VIRTIO("top") },
	  { CMD("block-commit", "\"job-id\":\"j\",\"device\":\"top\",\"top-node\":\"mid\",\"base-node\":\"base\""),
	    "@gone" },
	  "is on node \"base\", base.qcow2, where the command line has \"mid\"",
	  true },
	{ "stream",
	  { "-drive", "file=top.qcow2,if=none,id=d0", VIRTIO("d0") },
	  { CMD("block-stream", "\"job-id\":\"j\",\"device\":\"d0\""), "@gone" },
	  NULL },
	{ "header",
	  { "-drive", "file=top.qcow2,if=none,id=d0,node-name=n", VIRTIO("d0") },
	  { CMD("change-backing-file", "\"device\":\"d0\",\"image-node-name\":\"n\",\"backing-file\":\"base.qcow2\"") },
	  "has mid.qcow2 open, where the command line opens base.qcow2" },
	{ "reopened-part",
	  { "-blockdev",
	    "driver=raw,node-name=part,offset=1048576,file.driver=file,file.filename=raw.img,file.node-name=f",
	    VIRTIO("part") },
	  { CMD("blockdev-reopen",
		"\"options\":[{\"driver\":\"raw\",\"node-name\":\"part\",\"offset\":2097152,\"file\":\"f\"}]") },
	  "has offset 2097152 in what it is on, where the command line has 1048576",
	  false },
	{ "reopened-elsewhere",
	  { "-blockdev", "driver=file,node-name=f,filename=raw.img", "-blockdev", "driver=raw,node-name=top,file=f",
	    VIRTIO("top") },
	  { CMD("blockdev-add", "\"driver\":\"file\",\"node-name\":\"g\",\"filename\":\"raw2.img\""),
	    CMD("blockdev-reopen", "\"options\":[{\"driver\":\"raw\",\"node-name\":\"top\",\"file\":\"g\"}]") },
	  "is on node \"g\", raw2.img",
	  true },
	{ "medium-other",
	  { "-blockdev", "driver=file,node-name=c,filename=cd.iso,read-only=on", "-device", "ide-cd,id=cd,drive=c" },
	  { CMD("blockdev-change-medium", "\"id\":\"cd\",\"filename\":\"cd2.iso\",\"format\":\"raw\"") },
	  "cd2.iso" },
	{ "medium-out",
	  { "-cdrom", "cd.iso" },
	  { CMD("eject", "\"device\":\"ide2-cd0\"") },
	  "is empty, where the command line has -cdrom cd.iso",
	  true },
	{ "medium-out-node",
	  { "-blockdev", "driver=file,node-name=c,filename=cd.iso,read-only=on", "-device", "ide-cd,drive=c" },
	  { CMD("blockdev-open-tray", "\"id\":\"/machine/peripheral-anon/device[0]\""),
	    CMD("blockdev-remove-medium", "\"id\":\"/machine/peripheral-anon/device[0]\"") },
	  "has no medium any more" },
	{ "medium-in",
	  { "-device", "ide-cd,id=cd" },
	  { CMD("blockdev-change-medium", "\"id\":\"cd\",\"filename\":\"cd2.iso\",\"format\":\"raw\"") },
	  "none that its command line opens" },
	{ "medium-legacy",
	  { "-cdrom", "cd.iso" },
	  { CMD("blockdev-change-medium", "\"device\":\"ide2-cd0\",\"filename\":\"cd2.iso\",\"format\":\"raw\"") },
	  "has cd2.iso open, where the command line opens cd.iso",
	  true },
	{ "replaced",
	  { "-drive", "file=raw.img,if=none,id=d0,format=raw", VIRTIO("d0") },
	  { "!mv raw.img old.img && truncate -s 16M raw.img" },
	  "it was moved or replaced" },
	{ "moved",
	  { "-drive", "file=raw.img,if=none,id=d0,format=raw", VIRTIO("d0") },
	  { "!mv raw.img old.img" },
	  "not there any more" },
	{ "link-turned",
	  { "-drive", "file=link.img,if=none,id=d0,format=raw", VIRTIO("d0") },
	  { "!ln -sf raw2.img link.img" },
	  "it was moved or replaced" },
	{ "backing-replaced",
	  { "-drive", "file=top.qcow2,if=none,id=d0", VIRTIO("d0") },
	  { "!cp mid.qcow2 m && mv m mid.qcow2" },
	  "it was moved or replaced" },
	{ "hot-drive",
	  { "-device", "pcie-root-port,id=rp" },
	  { CMD("blockdev-add", "\"driver\":\"file\",\"node-name\":\"late\",\"filename\":\"raw.img\""),
	    CMD("device_add", "\"driver\":\"virtio-blk-pci\",\"drive\":\"late\",\"bus\":\"rp\"") },
	  "none that its command line opens" },
	{ "node-gone",
	  { "-blockdev", "driver=file,node-name=spare,filename=raw.img" },
	  { CMD("blockdev-del", "\"node-name\":\"spare\"") },
	  "\"spare\" of its command line was removed",
	  true },
	{ "unused-moved",
	  { "-blockdev", "driver=file,node-name=spare,filename=raw.img" },
	  { "!mv raw.img old.img" },
	  "the node \"spare\" of its command line is to be opened as raw.img, which is not there any more" },
	{ "node-anew",
	  { "-blockdev", "driver=file,node-name=disk,filename=raw.img,read-only=on", "-device",
	    "ide-cd,id=cd,drive=disk" },
	  { CMD("blockdev-open-tray", "\"id\":\"cd\""), CMD("blockdev-remove-medium", "\"id\":\"cd\""),
	    CMD("blockdev-del", "\"node-name\":\"disk\""),
	    CMD("blockdev-add",
		"\"driver\":\"file\",\"node-name\":\"disk\",\"filename\":\"raw2.img\",\"read-only\":true"),
	    CMD("blockdev-insert-medium", "\"id\":\"cd\",\"node-name\":\"disk\"") },
	  "has raw2.img open, where the command line opens raw.img",
	  true },
	{ "filter-in",
	  { NODES, VIRTIO("base"), "-blockdev", "driver=file,node-name=f,filename=raw.img", "-blockdev",
	    "driver=raw,node-name=r,file=f", "-device", "virtio-blk-pci,drive=r" },
	  { CMD("object-add", "\"qom-type\":\"throttle-group\",\"id\":\"g\""),
	    CMD("blockdev-add", "\"driver\":\"throttle\",\"node-name\":\"t\",\"throttle-group\":\"g\",\"file\":\"f\""),
	    CMD("blockdev-reopen", "\"options\":[{\"driver\":\"raw\",\"node-name\":\"r\",\"file\":\"t\"}]") },
	  "is on node \"t\", raw.img, where the command line has \"f\"" },
	{ "limits",
	  { "-drive", "file=raw.img,if=none,id=d0,format=raw,throttling.bps-total=1048576,iops=100", VIRTIO("d0") },
	  { CMD("block_set_io_throttle",
		"\"device\":\"d0\",\"bps\":1048576,\"bps_rd\":0,\"bps_wr\":0,\"iops\":0,\"iops_rd\":0,\"iops_wr\":0") },
	  "is limited (iops=0), where the command line has 100" },
	{ "limits-node",
	  { "-blockdev", "driver=file,node-name=a,filename=raw.img", "-device", "virtio-blk-pci,drive=a,id=disk" },
	  { CMD("block_set_io_throttle",
		"\"id\":\"/machine/peripheral/disk/virtio-backend\",\"bps\":0,\"bps_rd\":0,\"bps_wr\":0,\"iops\":100,\"iops_rd\":0,\"iops_wr\":0") },
	  "is limited (iops=100), where the command line has no such limit" },
	/* what can't be compared */
	{ "quorum",
	  { NODES, "-blockdev", "driver=quorum,node-name=q,vote-threshold=1,children.0=base", VIRTIO("q") },
	  { 0 },
	  "of a kind that can't be compared (quorum)" },
};

static void fill(void)
{
	char command[1200];

	snprintf(
		command, sizeof(command),
		"cd %s && rm -f *.qcow2 *.img *.iso && truncate -s 16M raw.img raw2.img cd.iso cd2.iso && truncate -s 1M code.img vars.img && ln -s %s/raw.img link.img && "
		"qemu-img create -q -f qcow2 base.qcow2 16M && qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 mid.qcow2 && "
		"qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 && "
		"qemu-img create -q -f qcow2 -o data_file=data.img data.qcow2 16M && "
		"qemu-img create -q -f qcow2 -F qcow2 -b 'json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"base.qcow2\"}}' json.qcow2",
		dir, dir);
	assert_int_equal(system(command), 0);
}

/* What is beneath each device, as a list of names of files: the same whatever the nodes are called. */
static char *layers(const struct lu_blocks *b)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	for (size_t i = 0; i < b->n_fronts; i++) {
		const char *node = b->fronts[i].node;

		fprintf(f, "%s %s:", b->fronts[i].name, b->fronts[i].device ?: "-");
		while (node) {
			const struct lu_block_now *n = lu_blocks_node(b, node);

			fprintf(f, " %s %s %d", n->driver, lu_blocks_file_of(b, n), n->read_only);
			node = NULL;
			for (size_t k = 0; k < n->n_children; k++)
				if (!strcmp(n->children[k].role, "backing"))
					node = n->children[k].node;
		}
		fputc('\n', f);
	}
	fclose(f);
	return text;
}

/* The words anew, if there are any: a QEMU that is started with them has the same beneath its disks. */
static void carry(size_t i, const struct lu_blocks *then, char **argv, const struct lu_block_files *files)
{
	_cleanup_(lu_block_files_freep) struct lu_block_files *new_files = NULL;
	_cleanup_(lu_blocks_freep) struct lu_blocks *now = NULL;
	_cleanup_free_ char *before = layers(then), *after = NULL;
	_cleanup_(lu_argv_freep) char **words = NULL;
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	int r = lu_blocks_rewrite(then, argv, files, &words);

	expect(r == cases[i].carried, "%s: %d", cases[i].name, r);
	if (r == 0)
		return;
	qemu_end(NULL);
	qemu_start(dir, words);
	look(&now, &new_files);
	after = layers(now);
	for (char **p = words + 11; *p; p++)
		print_message("    %s\n", *p);
	expect(!strcmp(before, after), "%s: before\n%safter\n%s", cases[i].name, before, after);
	assert_int_equal(lu_blocks_judge(now, words, new_files, &why), 0);
	expect(!lu_reasons_any(&why), "%s, anew: %s", cases[i].name, why.list[0].what);
}

static void one_case(size_t i)
{
	char socket[100], *argv[WORDS_MAX] = { (char *)qemu,       (char *)"-M",   (char *)"q35",
					       (char *)"-accel",   (char *)"tcg",  (char *)"-nodefaults",
					       (char *)"-display", (char *)"none", (char *)"-S",
					       (char *)"-qmp",     socket };
	_cleanup_(lu_block_files_freep) struct lu_block_files *files = NULL;
	_cleanup_(lu_blocks_freep) struct lu_blocks *blocks = NULL;
	_cleanup_reasons_ struct lu_reasons why = { 0 };
	_cleanup_free_ char *before = NULL, *after = NULL;
	size_t n = 11;

	qemu_case = cases[i].name;
	fill();
	snprintf(socket, sizeof(socket), "unix:%s/qmp,server=on,wait=off", dir);
	for (size_t k = 0; k < ARRAY_SIZE(cases[i].words) && cases[i].words[k]; k++)
		argv[n++] = (char *)cases[i].words[k];
	qemu_start(dir, argv);
	look(&blocks, &files);
	assert_int_equal(lu_blocks_judge(blocks, argv, files, &why), 0);
	if (cases[i].commands[0] || !cases[i].reason)
		expect(!lu_reasons_any(&why), "%s, as it was started: %s", cases[i].name, why.list[0].what);
	assert_int_equal(lu_blocks_text(blocks, files, &before), 0);
	for (size_t k = 0; k < ARRAY_SIZE(cases[i].commands) && cases[i].commands[k]; k++)
		qemu_command(cases[i].commands[k]);
	blocks = lu_blocks_free(blocks);
	files = lu_block_files_free(files);
	look(&blocks, &files);
	assert_int_equal(lu_blocks_judge(blocks, argv, files, &why), 0);
	assert_int_equal(lu_blocks_text(blocks, files, &after), 0);
	expect((strcmp(before, after) != 0) == (cases[i].commands[0] != NULL), "%s: before\n%safter\n%s", cases[i].name,
	       before, after);
	if (!cases[i].reason) {
		expect(!lu_reasons_any(&why), "%s: %s", cases[i].name, why.list[0].what);
	} else {
		expect(lu_reasons_any(&why), "%s: nothing is said", cases[i].name);
		for (size_t k = 0; k < why.n; k++)
			print_message("%s: %s\n", cases[i].name, why.list[k].what);
		expect(strstr(why.list[0].what, cases[i].reason), "%s: %s", cases[i].name, why.list[0].what);
	}
	if (cases[i].reason)
		carry(i, blocks, argv, files);
	qemu_end(NULL);
}

static void test_cases(void **state)
{
	char command[200];

	/* what a command changes ("!mv …") lies in the directory */
	assert_int_equal(chdir(dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (i % of == part % of && (!only || !strcmp(only, cases[i].name)))
			one_case(i);
	snprintf(command, sizeof(command), "cd / && rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_cases, qemu_end) };

	qemu = getenv("LUCTL_TEST_QEMU") ?: qemu;
	if (argc > 1 && (sscanf(argv[1], "%zu/%zu", &part, &of) != 2 || of == 0))
		only = argv[1];
	of = of ?: 1;
	if (access(qemu, X_OK) < 0 || system("qemu-img --version >/dev/null 2>&1") != 0) {
		printf("no %s, or no qemu-img, on this machine\n", qemu);
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(strcpy(dir, "/var/tmp/luctl-blocks-XXXXXX")))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
