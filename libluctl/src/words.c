// SPDX-License-Identifier: LGPL-2.1-or-later
/* Words as numbers. The lists of doc-bus.c are in the order of the enums, and new ones come last. */
#include <string.h>

#include "luctl-internal.h"

PUBLIC enum luctl_state luctl_state_of(const char *word)
{
	return (enum luctl_state)lu_doc_index(lu_doc_states, word);
}

PUBLIC bool luctl_state_is_rest(enum luctl_state state)
{
	return state == LUCTL_STATE_IDLE || state == LUCTL_STATE_DONE || state == LUCTL_STATE_ABORTED ||
	       state == LUCTL_STATE_DEGRADED;
}

PUBLIC enum luctl_result luctl_result_of(const char *word)
{
	int i = lu_doc_index(lu_doc_results, word);

	return i < 0 && word && strcmp(word, "failed") == 0 ? LUCTL_RESULT_FAILED : (enum luctl_result)i;
}

PUBLIC enum luctl_vm_state luctl_vm_state_of(const char *word)
{
	return (enum luctl_vm_state)lu_doc_index(lu_doc_vm_states, word);
}
