/* SPDX-License-Identifier: Apache-2.0 */
#include "store/io.h"

#include <fcntl.h>
#include <unistd.h>

const struct io io_real = {
	.pwritev = pwritev,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.fallocate = fallocate,
	.fadvise = posix_fadvise,
	.unlink = unlink,
};
