/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New TLS sessions a second of an SMTP server on 127.0.0.1: tls_rate PORT SECONDS THREADS. Each is a
 * connection of its own: greeting, EHLO, STARTTLS, a full handshake (no tickets are offered), QUIT.
 * Prints one JSON object.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, REPLY_MAX = 4096, SECONDS_OF_PATIENCE = 20 };

struct worker {
	pthread_t thread;
	unsigned long sessions, failures;
	char version[32], cipher[64], group[32], key[32];
};

static struct sockaddr_in server;
static SSL_CTX *context;
static double until;

static double seconds_now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Has a whole reply come, and does it begin with this code? */
static bool is_reply(const char *text, size_t len, const char *code)
{
	const char *line = text;
	const char *end;

	while ((end = memchr(line, '\n', len - (size_t)(line - text)))) {
		if (end - line >= 4 && line[3] == ' ')
			return memcmp(line, code, 3) == 0;
		line = end + 1;
	}
	return false;
}

static bool hears(int fd, const char *code)
{
	char text[REPLY_MAX];
	size_t len = 0;

	while (len < sizeof(text)) {
		ssize_t got = recv(fd, text + len, sizeof(text) - len, 0);

		if (got <= 0)
			return false;
		len += (size_t)got;
		if (is_reply(text, len, code))
			return true;
	}
	return false;
}

static bool says(int fd, const char *text, const char *code)
{
	return send(fd, text, strlen(text), 0) == (ssize_t)strlen(text) && hears(fd, code);
}

static int dial(void)
{
	struct timeval patience = { .tv_sec = SECONDS_OF_PATIENCE };
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void note(struct worker *worker, SSL *ssl)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;

	if (!worker->version[0]) {
		snprintf(worker->version, sizeof(worker->version), "%s", SSL_get_version(ssl));
		snprintf(worker->cipher, sizeof(worker->cipher), "%s", SSL_get_cipher_name(ssl));
		snprintf(worker->group, sizeof(worker->group), "%s",
			 SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl)));
		snprintf(worker->key, sizeof(worker->key), "%s %d",
			 key ? EVP_PKEY_get0_type_name(key) : "?",
			 key ? EVP_PKEY_get_bits(key) : 0);
	}
	X509_free(certificate);
}

static bool secure(struct worker *worker, int fd)
{
	static const char quit[] = "QUIT\r\n";
	char reply[REPLY_MAX];
	SSL *ssl = SSL_new(context);
	bool is_done = ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 &&
		       !SSL_session_reused(ssl) && SSL_write(ssl, quit, sizeof(quit) - 1) > 0 &&
		       SSL_read(ssl, reply, sizeof(reply)) > 3 && memcmp(reply, "221", 3) == 0;

	if (is_done)
		note(worker, ssl);
	SSL_free(ssl);
	return is_done;
}

static bool one_session(struct worker *worker)
{
	int fd = dial();
	bool is_done = fd >= 0 && hears(fd, "220") && says(fd, "EHLO client.example\r\n", "250") &&
		       says(fd, "STARTTLS\r\n", "220") && secure(worker, fd);

	if (fd >= 0)
		close(fd);
	return is_done;
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (seconds_now() < until) {
		if (one_session(worker))
			worker->sessions++;
		else
			worker->failures++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	unsigned long sessions = 0;
	unsigned long failures = 0;
	int threads = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
	double begun = seconds_now();

	if (threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "tls_rate PORT SECONDS THREADS\n");
		return 2;
	}
	server = (struct sockaddr_in){ .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)strtol(argv[1], NULL, 10)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	signal(SIGPIPE, SIG_IGN);
	context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* One group that everybody has, so that both servers do the same sums. */
	if (SSL_CTX_set1_groups_list(context, "X25519") != 1)
		return 1;
	until = begun + strtod(argv[2], NULL);
	for (int i = 0; i < threads; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	for (int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		sessions += workers[i].sessions;
		failures += workers[i].failures;
	}
	printf("{\"rate\": %.1f, \"sessions\": %lu, \"failures\": %lu, \"tls\": \"%s %s %s %s\"}\n",
	       (double)sessions / (seconds_now() - begun), sessions, failures, workers[0].version,
	       workers[0].cipher, workers[0].group, workers[0].key);
	return failures > 0;
}
