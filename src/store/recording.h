/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * recording: the recorder of protocol events runs here, in the role that may write files. It reads
 * the rings of all roles; sessions, log and metrics come from it.
 */
#include "record/record.h"
#include "role/role.h"

/* Starts it over all rings that the role was given. */
[[nodiscard]] enum err recording_begin(struct role *role, struct recorder **out) WAITS;
enum err recording_reload(struct role *role, struct recorder *recorder) WAITS;

/* session list, show, follow; metrics. The context is the struct role. */
extern const struct control_command recording_commands[];
