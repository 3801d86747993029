/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* file: the few files and folders that the supervisor touches. */
#include "base/base.h"

#include <stdlib.h>
#include <sys/types.h>

/* folder/name, or name when it begins with /. The caller frees it. */
char *file_path(const char *folder, struct str name);
/* ERR_LIMIT when it is larger than the buffer may be. */
[[nodiscard]] enum err file_read_whole(const char *path, struct buf *out);
/*
 * The same for what root obeys: ERR_CONFIG, with what to do about it, when we are root and somebody else
 * may write the file; ERR_UNSUPPORTED when it is none.
 */
[[nodiscard]] enum err file_read_own(const char *path, struct buf *out);
/* Whole or not at all: written beside, made durable, then renamed. */
[[nodiscard]] enum err file_write_whole(const char *path, struct str octets, mode_t mode);
/* Makes it when missing; an existing one keeps its mode. */
[[nodiscard]] enum err file_make_folder(const char *path, mode_t mode);
/* DIR/run/lock: *out stays open as long as the lock shall hold. ERR_BUSY tells who has it. */
[[nodiscard]] enum err file_lock(const char *path, int *out);
