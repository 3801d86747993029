/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber/real.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct datagram {
	struct fd_watch watch;
};

enum err datagram_open(const struct addr *to, struct datagram **out)
{
	struct sockaddr_storage storage;
	socklen_t len = (socklen_t)addr_to_sockaddr(to, &storage, sizeof(storage));
	struct datagram *made = calloc(1, sizeof(*made));
	int family = to->family == ADDR_IPV4 ? AF_INET : AF_INET6;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char text[ADDR_TEXT];
	enum err err = OK;

	must(made);
	must(to->family == ADDR_IPV4 || to->family == ADDR_IPV6);
	addr_print(to, text);
	if (fd < 0 || connect(fd, (struct sockaddr *)&storage, len) != 0)
		err = fault_errno("make a UDP socket to %s", text);
	if (!err)
		err = watch_init(&made->watch, real_here(), fd);
	if (!err) {
		*out = made;
		return OK;
	}
	if (fd >= 0)
		close(fd);
	free(made);
	return err;
}

void datagram_drop(struct datagram **datagram)
{
	struct datagram *dropped = *datagram;

	if (!dropped)
		return;
	watch_done(&dropped->watch);
	close(dropped->watch.fd);
	free(dropped);
	*datagram = NULL;
}

/* The socket's buffer was empty before: the first datagram always has room, and who cannot send it now has lost it. */
enum err datagram_send(struct datagram *datagram, struct str octets)
{
	ssize_t put;

	do
		put = send(datagram->watch.fd, octets.at, octets.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? fault_errno("send a datagram") : OK;
}

enum err datagram_receive(struct datagram *datagram, void *at, size_t room, moment deadline,
			  size_t *out) WAITS
{
	for (;;) {
		ssize_t got = recv(datagram->watch.fd, at, room, MSG_DONTWAIT);
		enum err err;

		if (got >= 0) {
			*out = (size_t)got;
			return fiber_is_stopping() ? ERR_STOPPED : OK;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fault_errno("receive a datagram");
		watch_used_up(&datagram->watch, READABLE);
		err = watch_wait(&datagram->watch, READABLE, deadline);
		if (err)
			return err;
	}
}
