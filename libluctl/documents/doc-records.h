/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* The records of a VM in pkernfs: saved.json, settings.json, result.json, clock.json. Their contract is in daemon/launch/store.h. */
#include "documents.h"

/** struct lu_saved - saved.json */
struct lu_saved {
	char *update; /* UUIDs */
	char *uuid;
	char *name;
	char *unit;         /* or NULL */
	bool running;       /* the guest ran when the update began */
	char *mode;         /* migration parameter before the update; NULL: not there */
	bool ignore_shared; /* migration capability before the update */
	bool complete;
	uint64_t size; /* of state, if complete */
	uint64_t crc32;
	uint64_t index;     /* the VM's number in the flight recorder */
	uint64_t pause_tsc; /* when stop was sent, when the state was committed; 0: not yet */
	uint64_t saved_tsc;
	uint64_t pause_realtime_usec; /* CLOCK_REALTIME at pause_tsc; 0: not known */
	uint64_t devices_size;        /* of devices.json, 0: the VM has none */
	uint64_t devices_crc32;
};

enum lu_result_status {
	LU_RESULT_LOADED,
	LU_RESULT_RUNNING,
	LU_RESULT_PAUSED,
	LU_RESULT_FAILED,
};

struct lu_result_stamps {
	uint64_t start;     /* work on this VM began */
	uint64_t spawned;   /* its QEMU was executed */
	uint64_t connected; /* its monitor answered */
	uint64_t loaded;    /* the state was in */
	uint64_t resumed;   /* cont returned; 0 if the guest stays paused */
};

/** struct lu_result - result.json */
struct lu_result {
	char *update;
	char *uuid;
	char *boot_id;       /* of the kernel it was written under */
	char *by;            /* "lu-init" (before the real init) or "luctld" (asked for by it) */
	int status;          /* enum lu_result_status */
	bool retry;          /* failed, and the saved state is as good as before */
	uint64_t pid;        /* 0: none */
	uint64_t start_time; /* field 22 of /proc/PID/stat, so that a pid used again is noticed */
	struct lu_doc_error *error;
	struct lu_result_stamps stamps; /* TSC values, 0: not reached */
};

/** struct lu_clock - clock.json; for the reader it counts only if "update" is that of saved.json */
struct lu_clock {
	char *update;
	bool set;
	int64_t was_behind_usec; /* before it was set; negative: ahead. Both 0 if the agent did not tell */
	int64_t behind_usec;     /* after that */
	struct lu_doc_error *error;
};

extern const struct lu_json_table lu_clock_table;

struct lu_setting {
	char *name;
	struct json_object *value; /* of any type */
};

/** struct lu_settings - settings.json; counts only if "update" is that of saved.json */
struct lu_settings {
	char *update;
	struct lu_setting *capabilities; /* true or false */
	size_t n_capabilities;
	struct lu_setting *parameters; /* as QEMU told them */
	size_t n_parameters;
};

extern const struct lu_json_table lu_settings_table;
extern const struct lu_json_table lu_saved_table;
extern const struct lu_json_table lu_result_table;
