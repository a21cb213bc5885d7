// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names: what directories say, held against link counts; and paths, by which damage is
 * named. A sealed filesystem must be right; of an open one the next kernel removes names
 * that lead nowhere and counts links anew, so there it is a warning.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pkernfs-internal.h"

#define PATH_DEPTH_MAX 1024
#define PATH_TEXT_MAX 1024 /* bytes of a path that are told */

static enum lu_level torn(const struct pk_fs *fs)
{
	return fs->sealed ? LU_LEVEL_ERROR : LU_LEVEL_WARNING;
}

static int name_add(struct pk_fs *fs, uint64_t parent, uint64_t ino, const char *name)
{
	struct pk_name *n;

	if (fs->n_names == fs->room_names) {
		size_t room = fs->room_names ? fs->room_names * 2 : 64;

		n = reallocarray(fs->names, room, sizeof(*n));
		if (!n)
			return lu_error_set(fs->ctx->e, -ENOMEM, NULL, "out of memory");
		fs->names = n;
		fs->room_names = room;
	}
	n = &fs->names[fs->n_names];
	*n = (struct pk_name){ .parent = parent, .ino = ino, .name = strdup(name) };
	if (!n->name)
		return lu_error_set(fs->ctx->e, -ENOMEM, NULL, "out of memory");
	fs->n_names++;
	return 0;
}

int pk_dir_page(struct pk_fs *fs, struct pk_inode *dir, uint64_t index, const struct pkernfs_dir_page *page)
{
	if (index >= PKERNFS_MAX_DIR_PAGES || page->magic != PKERNFS_DIR_MAGIC || page->index != index ||
	    page->ino != dir->ino)
		return pk_bad(fs->ctx, "has a bad directory page %llu", (unsigned long long)index);
	dir->dir_pages = index + 1;
	for (unsigned int i = 0; i < PKERNFS_DIRENTS_PER_PAGE; i++) {
		const struct pkernfs_dirent *de = &page->entry[i];
		int r;

		if (!de->ino)
			continue;
		if (!de->len || strnlen(de->name, sizeof(de->name)) != de->len || memchr(de->name, '/', de->len) ||
		    strcmp(de->name, ".") == 0 || strcmp(de->name, "..") == 0) {
			pk_blame(fs, dir->ino, torn(fs), NULL, "has a bad entry, %u of page %llu", i,
				 (unsigned long long)index);
			continue;
		}
		r = name_add(fs, dir->ino, de->ino, de->name);
		if (r < 0)
			return r;
	}
	return 0;
}

char *pk_safe(const char *text, size_t size)
{
	char *out = NULL;
	size_t n = 0, len;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return NULL;
	while (n < size && n < PATH_TEXT_MAX) {
		size_t good = lu_utf8_prefix(text + n, size - n);

		for (size_t i = 0; i < good && n < PATH_TEXT_MAX; i++, n++)
			if ((unsigned char)text[n] < ' ' || text[n] == 0x7f)
				fprintf(f, "\\x%02x", (unsigned char)text[n]);
			else
				fputc(text[n], f);
		if (n < size && n < PATH_TEXT_MAX && good < size - (n - good))
			fprintf(f, "\\x%02x", (unsigned char)text[n++]);
	}
	if (n < size)
		fputs("...", f);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	/* cut within a character */
	out[lu_utf8_prefix(out, len)] = '\0';
	return out;
}

char *pk_path(struct pk_fs *fs, uint64_t ino)
{
	const char *parts[PATH_DEPTH_MAX];
	_cleanup_free_ char *path = NULL;
	unsigned int n = 0;
	size_t len;
	FILE *f;

	if (ino == PKERNFS_ROOT_INO)
		return strdup("/");
	while (ino != PKERNFS_ROOT_INO) {
		struct pk_inode *inode = pk_inode_find(fs, ino);

		if (!inode || inode->name == SIZE_MAX || n == PATH_DEPTH_MAX)
			return strdup("");
		parts[n++] = fs->names[inode->name].name;
		ino = fs->names[inode->name].parent;
	}
	f = open_memstream(&path, &len);
	if (!f)
		return NULL;
	while (n > 0)
		fprintf(f, "/%s", parts[--n]);
	return fclose(f) == 0 ? pk_safe(path, len) : NULL;
}

static int name_compare(const void *a, const void *b)
{
	const struct pk_name *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void link_names(struct pk_fs *fs)
{
	if (fs->n_names)
		qsort(fs->names, fs->n_names, sizeof(*fs->names), name_compare);
	for (size_t i = 0; i < fs->n_names; i++) {
		const struct pk_name *n = &fs->names[i];
		struct pk_inode *inode = pk_inode_find(fs, n->ino), *dir = pk_inode_find(fs, n->parent);
		_cleanup_free_ char *safe = pk_safe(n->name, strlen(n->name));

		if (i > 0 && name_compare(n, n - 1) == 0)
			pk_blame(fs, n->parent, LU_LEVEL_ERROR, NULL, "has the name %s twice", safe ?: "?");
		if (!inode) {
			pk_blame(fs, n->parent, torn(fs), NULL, "has the name %s for inode %llu, which does not exist",
				 safe ?: "?", (unsigned long long)n->ino);
			continue;
		}
		if (S_ISDIR(inode->mode) && !inode->bad && (inode->links || n->ino == PKERNFS_ROOT_INO)) {
			pk_blame(fs, n->parent, torn(fs), NULL, "has the name %s for directory %llu, which has one",
				 safe ?: "?", (unsigned long long)n->ino);
			continue;
		}
		inode->links++;
		if (inode->name == SIZE_MAX)
			inode->name = i;
		if (dir && S_ISDIR(inode->mode))
			dir->subdirs++;
	}
}

/* Follow the names upwards; what leads to the root directory is reached */
static bool reach(struct pk_fs *fs, struct pk_inode *inode)
{
	struct pk_inode *at = inode;

	for (size_t steps = 0; at && !at->reached && steps <= fs->n_inodes; steps++)
		at = at->name == SIZE_MAX ? NULL : pk_inode_find(fs, fs->names[at->name].parent);
	if (!at || !at->reached)
		return false;
	while (inode != at) {
		inode->reached = true;
		inode = pk_inode_find(fs, fs->names[inode->name].parent);
	}
	return true;
}

int pk_check_names(struct pk_fs *fs)
{
	struct pk_inode *root;

	link_names(fs);
	/* what a damaged directory named is missing here, so nothing can be said about counts */
	if (fs->half_named)
		return 0;
	root = pk_inode_find(fs, PKERNFS_ROOT_INO);
	if (root)
		root->reached = true;
	for (size_t i = 0; i < fs->n_inodes; i++) {
		struct pk_inode *inode = &fs->inode[i];
		uint32_t links = inode->links;

		if (inode->bad)
			continue;
		if (S_ISDIR(inode->mode) && (links || inode == root))
			links = 2 + inode->subdirs;
		if (inode->nlink != links && !(S_ISDIR(inode->mode) && !links && !inode->nlink))
			pk_blame(fs, inode->ino, torn(fs), NULL, "says %u links and has %u", inode->nlink, links);
		else if (inode->links && !reach(fs, inode))
			pk_blame(fs, inode->ino, LU_LEVEL_ERROR, NULL, "can't be reached from the root directory");
	}
	return 0;
}
