// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QMP's frame is JSON itself: one object after the other, separated by nothing
 * but white space (QEMU sends CRLF). json-c's incremental tokener finds where an
 * object ends; what is ours is only the queue of bytes in front of it, the
 * bounds, and the classification.
 *
 * A message starts with '{', white space between messages is skipped by us, so
 * that a peer which sends text, an array or a number fails at the first byte
 * instead of being waited for. Bounds: depth by the tokener, bytes of a message
 * that is not complete yet by LU_WIRE_MESSAGE_MAX, and the queue by twice that. What json-c makes
 * of a few bytes is much larger ("{}," becomes some 770 bytes), so values are counted before it sees them.
 *
 * Classification is by the one distinguishing key (qmp-spec): "QMP", "return",
 * "error", "event". Other keys are let pass, QEMU may add some. A message with
 * none or several of them, an id that is no integer of ours, or an error without
 * its texts, is nonsense: the peer is not QEMU, or we have lost the frame, and
 * either way nothing it says later can be trusted. The error is kept and
 * repeated.
 *
 * Keys given twice are not looked for: json-c takes the last one, and QEMU, who
 * writes these messages, has no reason to fool us with something that it could
 * say outright.
 *
 * Not handled: ids are numbers that we gave, so a reply without id is only
 * possible for errors of the frame itself ("JSON parse error"); it is passed up
 * with has_id false and the client treats it as the end of the connection.
 */
#include <json-c/json.h>
#include <string.h>

#include "wire.h"

/* What the present message has so far; knows strings and brackets, and nothing else of JSON. */
struct count {
	size_t containers, values;
	unsigned int depth;
	bool string, escaped, ended;
};

struct lu_wire {
	struct json_tokener *tok;
	char *buf;
	size_t start, end, room; /* unread bytes are buf[start..end) */
	size_t message;          /* bytes the tokener has taken of the present message */
	struct count count;
	struct lu_error broken;
};

void lu_wire_message_clear(struct lu_wire_message *m)
{
	json_object_put(m->root);
	*m = LU_WIRE_MESSAGE_INIT;
}

int lu_wire_new(struct lu_wire **ret)
{
	struct lu_wire *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->tok = json_tokener_new_ex(LU_WIRE_DEPTH_MAX);
	if (!w->tok) {
		free(w);
		return -ENOMEM;
	}
	json_tokener_set_flags(w->tok,
			       JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS | JSON_TOKENER_VALIDATE_UTF8);
	*ret = w;
	return 0;
}

void lu_wire_free(struct lu_wire *w)
{
	if (!w)
		return;
	json_tokener_free(w->tok);
	lu_error_clear(&w->broken);
	free(w->buf);
	free(w);
}

int lu_wire_push(struct lu_wire *w, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	if (w->start > 0) {
		memmove(w->buf, w->buf + w->start, w->end - w->start);
		w->end -= w->start;
		w->start = 0;
	}
	if (size > 2 * (size_t)LU_WIRE_MESSAGE_MAX - w->end)
		return -EMSGSIZE;
	if (w->end + size > w->room) {
		size_t room = w->room ? w->room : 4096;
		char *p;

		while (room < w->end + size)
			room *= 2;
		p = realloc(w->buf, room);
		if (!p)
			return -ENOMEM;
		w->buf = p;
		w->room = room;
	}
	memcpy(w->buf + w->end, data, size);
	w->end += size;
	return 0;
}

static struct json_object *member(struct json_object *obj, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	if (!json_object_is_type(obj, json_type_object) || !json_object_object_get_ex(obj, key, &v) ||
	    !json_object_is_type(v, type))
		return NULL;
	return v;
}

static const char *member_string(struct json_object *obj, const char *key)
{
	struct json_object *v = member(obj, key, json_type_string);

	/* a NUL in a name that we print or compare would cut it */
	if (!v || strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
		return NULL;
	return json_object_get_string(v);
}

/* Fills all of @m but root. Returns NULL, or what is wrong with the message. */
static const char *classify(struct json_object *root, struct lu_wire_message *m)
{
	struct json_object *v, *id;
	int kinds = 0;

	if (json_object_object_get_ex(root, "QMP", &v)) {
		kinds++;
		m->kind = LU_WIRE_GREETING;
		m->data = v;
		if (!json_object_is_type(v, json_type_object))
			return "a greeting that is no object";
	}
	if (json_object_object_get_ex(root, "return", &v)) {
		kinds++;
		m->kind = LU_WIRE_RETURN;
		m->data = v;
	}
	if (json_object_object_get_ex(root, "error", &v)) {
		kinds++;
		m->kind = LU_WIRE_ERROR;
		m->error_class = member_string(v, "class");
		m->error_desc = member_string(v, "desc");
		if (!m->error_class || !m->error_desc)
			return "an error without class and desc";
	}
	if (json_object_object_get_ex(root, "event", &v)) {
		kinds++;
		m->kind = LU_WIRE_EVENT;
		m->event = member_string(root, "event");
		m->data = member(root, "data", json_type_object);
		if (!m->event)
			return "an event without a name";
	}
	if (kinds != 1)
		return "an object that is no greeting, reply or event";
	if (json_object_object_get_ex(root, "id", &id)) {
		if (!json_object_is_type(id, json_type_int) || json_object_get_int64(id) < 0)
			return "an id that was never given";
		m->has_id = true;
		m->id = (uint64_t)json_object_get_int64(id);
	}
	if (m->kind == LU_WIRE_RETURN && !m->has_id)
		return "a reply without an id";
	return NULL;
}

static int broken(struct lu_wire *w, const char *what, struct lu_error *e)
{
	if (!w->broken.code)
		lu_error_set(&w->broken, -EBADMSG, "is the socket really the QMP monitor of a QEMU?",
			     "the peer does not talk QMP: it sent %s", what);
	return lu_error_set(e, -EBADMSG, w->broken.hint, "%s", w->broken.what ?: "the peer does not talk QMP");
}

/* Bytes at the end that begin a UTF-8 sequence and don't finish it: json-c must see a sequence in one piece. */
static size_t partial_tail(const char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		unsigned char c = (unsigned char)p[n - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (need > 1)
			return need > back ? back : 0;
		if (c < 0x80)
			return 0;
	}
	return 0;
}

/* Counts in bytes that the tokener is given next, as far as the message goes; false if they are too many. */
static bool count(struct count *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n && !c->ended; i++) {
		if (c->escaped)
			c->escaped = false;
		else if (c->string && p[i] == '\\')
			c->escaped = true;
		else if (p[i] == '"')
			c->string = !c->string;
		else if (c->string)
			;
		else if (p[i] == '{' || p[i] == '[')
			c->depth++, c->containers++, c->values++;
		else if (p[i] == ',')
			c->values++;
		else if (p[i] == '}' || p[i] == ']')
			c->ended = c->depth <= 1 || --c->depth == 0;
	}
	return c->containers <= LU_WIRE_CONTAINERS_MAX && c->values <= LU_WIRE_VALUES_MAX;
}

int lu_wire_next(struct lu_wire *w, struct lu_wire_message *ret, struct lu_error *e)
{
	_cleanup_wire_message_ struct lu_wire_message m = LU_WIRE_MESSAGE_INIT;
	enum json_tokener_error err;
	const char *wrong;
	size_t used, avail;

	if (w->broken.code)
		return broken(w, NULL, e);
	if (w->message == 0) {
		while (w->start < w->end && strchr(" \t\r\n", w->buf[w->start]) && w->buf[w->start])
			w->start++;
		if (w->start < w->end && w->buf[w->start] != '{')
			return broken(w, "something that does not start with {", e);
	}
	if (w->start == w->end)
		return 0;
	avail = w->end - w->start;
	avail -= partial_tail(w->buf + w->start, avail);
	if (avail == 0)
		return 0;
	if (!count(&w->count, w->buf + w->start, avail))
		return broken(w, "a message of too many values", e);
	m.root = json_tokener_parse_ex(w->tok, w->buf + w->start, (int)avail);
	err = json_tokener_get_error(w->tok);
	used = json_tokener_get_parse_end(w->tok);
	if (err != json_tokener_success && err != json_tokener_continue)
		return broken(w, json_tokener_error_desc(err), e);
	w->message += used;
	w->start += used;
	if (w->message > LU_WIRE_MESSAGE_MAX)
		return broken(w, "a message of more than 4 MiB", e);
	if (err == json_tokener_continue)
		return 0;
	json_tokener_reset(w->tok);
	w->message = 0;
	w->count = (struct count){ 0 };
	wrong = classify(m.root, &m);
	if (wrong)
		return broken(w, wrong, e);
	*ret = m;
	m = LU_WIRE_MESSAGE_INIT;
	return 1;
}

int lu_wire_command(const char *name, struct json_object *args, uint64_t id, char **ret, size_t *ret_size)
{
	struct json_object *root = json_object_new_object();
	const char *text;
	size_t size;
	char *p;
	int r = -ENOMEM;

	if (!root)
		return -ENOMEM;
	if (json_object_object_add(root, "execute", json_object_new_string(name)) < 0)
		goto out;
	if (args && json_object_object_add(root, "arguments", json_object_get(args)) < 0) {
		json_object_put(args);
		goto out;
	}
	if (json_object_object_add(root, "id", json_object_new_int64((int64_t)id)) < 0)
		goto out;
	text = json_object_to_json_string_length(root, JSON_C_TO_STRING_PLAIN, &size);
	if (!text)
		goto out;
	p = malloc(size + 2);
	if (!p)
		goto out;
	memcpy(p, text, size);
	p[size] = '\n';
	p[size + 1] = '\0';
	*ret = p;
	*ret_size = size + 1;
	r = 0;
out:
	json_object_put(root);
	return r;
}
