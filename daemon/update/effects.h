/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include "steps.h"

/** lu_effects - the steps of each effect */
extern const struct lu_effect_steps lu_effects[LU_EFFECT_MAX];
