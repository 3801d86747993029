/* SPDX-License-Identifier: Apache-2.0 */
#include "web/page.h"
#include "web/words.h"

/*
 * Nothing from elsewhere, no text that is a program, no frame around it. `data:` images are drawn from text of ours.
 */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
			     "'self' data:; font-src 'self'; "
			     "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri "
			     "'none'; form-action 'self'; "
			     "frame-ancestors 'none'";

/* 503: to a program that looks for the page it is not there, and a build of it brings it. */
static void say_missing(struct exchange *exchange)
{
	OWNED(buf) struct buf out = BUF(4096);

	buf_print(&out,
		  "<!doctype html><html lang=\"en\"><meta "
		  "charset=\"utf-8\"><title>Glasspost</title>\n"
		  "<h1>Glasspost runs, but without its page</h1>\n"
		  "<p>Mail passes all the same. This program was built without the page: %s.</p>\n"
		  "<p>To have it: <code>apt-get install nodejs npm gzip</code>, then build again "
		  "(<code>make</code>) and start the new program; or use a package of it that has "
		  "the page.</p>\n"
		  "<p>What the page would ask is here: <a "
		  "href=\"/api/v1/openapi.json\">openapi.json</a>, "
		  "<a href=\"/api/v1/sessions\">sessions</a>, <a "
		  "href=\"/api/v1/messages\">messages</a>. "
		  "At the terminal: <code>glasspost watch</code>, <code>glasspost session "
		  "list</code>.</p>\n",
		  web_page_missing);
	must(!out.failed);
	exchange_say(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "text/html; charset=utf-8",
		     buf_str(&out));
}

static const struct page_file *find(struct str path)
{
	for (size_t i = 0; i < page_file_count; i++)
		if (str_is(path, str_of(page_files[i].path)))
			return &page_files[i];
	return NULL;
}

static void give(struct exchange *exchange, const struct page_file *file)
{
	bool zipped = list_has(exchange_header(exchange, "Accept-Encoding"), S("gzip"));
	const unsigned char *at = zipped ? file->zipped_at : file->at;
	const unsigned char *end = zipped ? file->zipped_end : file->end;
	struct str octets = { (const char *)at, (size_t)(end - at) };

	if (list_has(exchange_header(exchange, "If-None-Match"), str_of(file->etag)))
		exchange_say_static(exchange, MHD_HTTP_NOT_MODIFIED, file->type, S(""));
	else
		exchange_say_static(exchange, MHD_HTTP_OK, file->type, octets);
	if (zipped && exchange->status == MHD_HTTP_OK)
		exchange_set_header(exchange, "Content-Encoding", "gzip");
	exchange_set_header(exchange, "Vary", "Accept-Encoding");
	exchange_set_header(exchange, "ETag", file->etag);
	/* Names below assets/ change with what is in them. */
	exchange_set_header(exchange, "Cache-Control",
			    str_starts(exchange->path, S("/assets/"))
				    ? "public, max-age=31536000, immutable"
				    : "no-cache");
	exchange_set_header(exchange, "Content-Security-Policy", policy);
}

void page_answer(struct exchange *exchange)
{
	const struct page_file *file =
		find(str_is(exchange->path, S("/")) ? S("/index.html") : exchange->path);

	if (file)
		give(exchange, file);
	else if (!page_file_count &&
		 (str_is(exchange->path, S("/")) || str_is(exchange->path, S("/index.html"))))
		say_missing(exchange);
	else
		exchange_refuse(exchange, MHD_HTTP_NOT_FOUND, "GET /",
				"there is nothing at this address");
}
