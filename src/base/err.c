/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct fault own_fault;
static _Thread_local struct fault *fault_place;

const char *err_text(enum err err)
{
	static const char *const texts[] = { [OK] = "ok",
#define X(name, text) [ERR_##name] = text,
					     ERRORS(X)
#undef X
	};

	return (size_t)err < COUNT_OF(texts) ? texts[err] : "unknown failure";
}

const char *err_name(enum err err)
{
	static const char *const names[] = { [OK] = "OK",
#define X(name, text) [ERR_##name] = #name,
					     ERRORS(X)
#undef X
	};

	return (size_t)err < COUNT_OF(names) ? names[err] : "UNKNOWN";
}

enum err err_from_errno(int error)
{
	switch (error) {
	case 0:
		return OK;
	case EAGAIN:
		return ERR_AGAIN;
	case EPIPE:
	case ENOTCONN:
		return ERR_CLOSED;
	case ECONNRESET:
	case ECONNABORTED:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return ERR_RESET;
	case ECONNREFUSED:
		return ERR_REFUSED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
	case EADDRINUSE:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOSPC:
	case EDQUOT:
		return ERR_FULL;
	case EIO:
		return ERR_IO;
	default:
		return ERR_SYSTEM;
	}
}

void fault_use(struct fault *place)
{
	fault_place = place;
}

static struct fault *fault_here(void)
{
	return fault_place ? fault_place : &own_fault;
}

enum err fault(enum err err, const char *format, ...)
{
	struct fault *here = fault_here();
	va_list args;

	here->err = err;
	va_start(args, format);
	vsnprintf(here->text, sizeof(here->text), format, args);
	va_end(args);
	return err;
}

enum err fault_errno(const char *format, ...)
{
	int error = errno;
	struct fault *here = fault_here();
	va_list args;
	size_t used;

	here->err = err_from_errno(error);
	va_start(args, format);
	vsnprintf(here->text, sizeof(here->text), format, args);
	va_end(args);
	used = strlen(here->text);
	snprintf(here->text + used, sizeof(here->text) - used, ": %s", strerror(error));
	return here->err;
}

const char *fault_text(void)
{
	return fault_here()->text;
}
