/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered datagrams, so that a test can say of each one whether it arrived. Linked statically: as the first process of
 * a container it sends from its first instructions.
 *   probe send TAG ADDRESS PORT COUNT INTERVAL_US [fresh]   COUNT 0: until SIGTERM; fresh: a socket for each datagram
 *   probe receive PORT                                      until SIGTERM
 *   probe raw DEVICE COUNT OFFSET FRAME...                  frames in hex, as they are; of COUNT copies of each, the
 *                                                           four bytes at OFFSET count up
 *   probe mirror PORT                                       until SIGTERM; tells everyone who asks his own address
 *   probe ask tcp|udp ADDRESS PORT                          prints who answered, and what: "192.0.2.1 198.51.100.7"
 *   probe echo PORT PORT                                    sends back to whoever sends, until SIGTERM
 *   probe reach ADDRESS PORT...                             a datagram to each; "ADDRESS PORT" for each that answers
 * The first three print one line of JSON at their end: {"sent":n}, or for each tag seen {"received":n,"last":number}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKED_MAX 64
#define PATIENCE_MS 1500

struct datagram {
	char tag;
	unsigned int number;
};

struct tally {
	unsigned int received;
	unsigned int last;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static int open_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM, 0);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static int send_all(char **argument, int fresh)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(atoi(argument[2])) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = to4.sin_port };
	int is4 = inet_pton(AF_INET, argument[1], &to4.sin_addr) == 1;
	const struct sockaddr *to = is4 ? (struct sockaddr *)&to4 : (struct sockaddr *)&to6;
	socklen_t size = is4 ? sizeof(to4) : sizeof(to6);
	struct datagram datagram = { .tag = argument[0][0] };
	unsigned int count = strtoul(argument[3], NULL, 10), interval = strtoul(argument[4], NULL, 10);
	unsigned int sent = 0;
	int fd = open_socket(to->sa_family);

	if (!is4)
		inet_pton(AF_INET6, argument[1], &to6.sin6_addr);
	while (!stopped && (!count || datagram.number < count)) {
		if (fresh && datagram.number) {
			close(fd);
			fd = open_socket(to->sa_family);
		}
		if (sendto(fd, &datagram, sizeof(datagram), 0, to, size) == sizeof(datagram))
			sent++;
		datagram.number++;
		usleep(interval);
	}
	usleep(50000); /* the first ones may still wait for the gateway's ARP answer */
	printf("{\"sent\":%u}\n", sent);
	return 0;
}

/* In both families: an IPv4 address arrives as ::ffff:a.b.c.d. */
static void bound_to(int fd, const char *port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("bind");
		exit(1);
	}
}

static int receive_all(char **argument)
{
	static struct tally tally[128];
	struct datagram datagram;
	const char *separator = "{";
	int size = 8 << 20, fd = open_socket(AF_INET6);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	bound_to(fd, argument[0]);
	while (!stopped) {
		struct tally *of;

		if (recv(fd, &datagram, sizeof(datagram), 0) != sizeof(datagram))
			continue;
		of = &tally[datagram.tag & 127];
		of->received++;
		of->last = datagram.number;
	}
	for (int tag = 0; tag < 128; tag++) {
		if (!tally[tag].received)
			continue;
		printf("%s\"%c\":{\"received\":%u,\"last\":%u}", separator, tag, tally[tag].received, tally[tag].last);
		separator = ",";
	}
	printf("%s}\n", separator[0] == '{' ? "{" : "");
	return 0;
}

/* Sends back to whoever sends, on two ports. */
static int echo_all(char **port)
{
	struct pollfd at[2];

	for (int i = 0; i < 2; i++) {
		at[i] = (struct pollfd){ .fd = open_socket(AF_INET6), .events = POLLIN };
		bound_to(at[i].fd, port[i]);
	}
	while (!stopped && poll(at, 2, -1) > 0) {
		for (int i = 0; i < 2; i++) {
			struct sockaddr_in6 from;
			socklen_t size = sizeof(from);
			char data[64];
			ssize_t length;

			if (!at[i].revents)
				continue;
			length = recvfrom(at[i].fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
			if (length >= 0)
				sendto(at[i].fd, data, length, 0, (struct sockaddr *)&from, size);
		}
	}
	return 0;
}

/* An IPv4 address as IPv6 sockets write it. */
static struct sockaddr_in6 address_of(const char *text, const char *port)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) };
	char mapped[64];

	snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
	if (inet_pton(AF_INET6, strchr(text, ':') ? text : mapped, &to.sin6_addr) != 1)
		fprintf(stderr, "%s is no address\n", text);
	return to;
}

/* A datagram to each, all at once; says which were answered: "ADDRESS PORT" a line. */
static int reach_all(char **argument, int count)
{
	struct pollfd at[ASKED_MAX];
	int open = 0;

	for (int i = 0; i < count; i++) {
		struct sockaddr_in6 to = address_of(argument[2 * i], argument[2 * i + 1]);

		at[i] = (struct pollfd){ .fd = open_socket(AF_INET6), .events = POLLIN };
		if (!connect(at[i].fd, (struct sockaddr *)&to, sizeof(to)) && send(at[i].fd, "?", 1, 0) == 1)
			open++;
	}
	while (open && poll(at, count, PATIENCE_MS) > 0) {
		for (int i = 0; i < count; i++) {
			char data[64];

			if (at[i].fd < 0 || !at[i].revents)
				continue;
			if (recv(at[i].fd, data, sizeof(data), 0) == 1)
				printf("%s %s\n", argument[2 * i], argument[2 * i + 1]);
			at[i].fd = -1; /* poll leaves it out */
			open--;
		}
	}
	return 0;
}

static size_t frame_of(const char *hex, unsigned char *frame, size_t most)
{
	size_t length = 0;
	unsigned int byte;

	while (length < most && sscanf(hex + 2 * length, "%2x", &byte) == 1)
		frame[length++] = byte;
	return length;
}

static int send_raw(char **argument)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argument[0]) };
	unsigned int count = strtoul(argument[1], NULL, 10), offset = strtoul(argument[2], NULL, 10), sent = 0;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	unsigned char frame[1514];

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("raw socket");
		return 1;
	}
	for (char **hex = argument + 3; *hex; hex++) {
		size_t length = frame_of(*hex, frame, sizeof(frame));
		unsigned int number;

		for (unsigned int copy = 0; copy < count; copy++) {
			/* a full queue is waited for: each copy is to be seen */
			while (send(fd, frame, length, 0) < 0 && errno == ENOBUFS)
				usleep(100);
			sent++;
			if (offset + 4 > length)
				continue;
			memcpy(&number, frame + offset, 4);
			number = htonl(ntohl(number) + 1);
			memcpy(frame + offset, &number, 4);
		}
	}
	printf("{\"sent\":%u}\n", sent);
	return 0;
}

/* An address as text, IPv4 as such even where it was mapped. */
static const char *name_of(const struct sockaddr_storage *at)
{
	const struct sockaddr_in6 *six = (const void *)at;
	const struct sockaddr_in *four = (const void *)at;
	static char text[INET6_ADDRSTRLEN];

	if (at->ss_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
	else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
	return text;
}

/* A socket for both families, bound to a port. */
static int open_server(int type, int port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type, 0), off = 0, on = 1;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static int mirror(int port)
{
	struct pollfd ready[] = { { .fd = open_server(SOCK_STREAM, port), .events = POLLIN },
				  { .fd = open_server(SOCK_DGRAM, port), .events = POLLIN } };
	char question[64];

	while (!stopped && poll(ready, 2, -1) >= 0) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);

		if (ready[0].revents) {
			int fd = accept(ready[0].fd, (struct sockaddr *)&from, &size);
			const char *name = name_of(&from);

			if (fd >= 0 && write(fd, name, strlen(name)) > 0)
				close(fd);
		}
		size = sizeof(from);
		if (ready[1].revents &&
		    recvfrom(ready[1].fd, question, sizeof(question), 0, (struct sockaddr *)&from, &size) >= 0) {
			const char *name = name_of(&from);

			sendto(ready[1].fd, name, strlen(name), 0, (struct sockaddr *)&from, size);
		}
	}
	return 0;
}

static int ask(int type, const char *address, int port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	int is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
	const struct sockaddr *to = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
	socklen_t size = is_four ? sizeof(four) : sizeof(six);
	int fd = socket(is_four ? AF_INET : AF_INET6, type, 0);
	struct timeval patience = { .tv_sec = 1, .tv_usec = 500000 };
	struct sockaddr_storage from;
	socklen_t room = sizeof(from);
	char answer[INET6_ADDRSTRLEN + 1] = "";
	long length;

	if (!is_four)
		inet_pton(AF_INET6, address, &six.sin6_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (type == SOCK_STREAM) {
		if (connect(fd, to, size) < 0 || getpeername(fd, (struct sockaddr *)&from, &room) < 0) {
			perror("connect");
			return 1;
		}
		length = read(fd, answer, sizeof(answer) - 1);
	} else {
		sendto(fd, "?", 1, 0, to, size);
		length = recvfrom(fd, answer, sizeof(answer) - 1, 0, (struct sockaddr *)&from, &room);
	}
	if (length <= 0) {
		perror("no answer");
		return 1;
	}
	printf("%s %s\n", name_of(&from), answer);
	return 0;
}

int main(int count, char **argument)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGTERM, &action, NULL); /* without SA_RESTART: recv must return */
	if (count >= 7 && !strcmp(argument[1], "send"))
		return send_all(argument + 2, count > 7);
	if (count == 3 && !strcmp(argument[1], "receive"))
		return receive_all(argument + 2);
	if (count == 4 && !strcmp(argument[1], "echo"))
		return echo_all(argument + 2);
	if (count >= 4 && count <= 2 + 2 * ASKED_MAX && !strcmp(argument[1], "reach"))
		return reach_all(argument + 2, (count - 2) / 2);
	if (count >= 6 && !strcmp(argument[1], "raw"))
		return send_raw(argument + 2);
	if (count == 3 && !strcmp(argument[1], "mirror"))
		return mirror(atoi(argument[2]));
	if (count == 5 && !strcmp(argument[1], "ask"))
		return ask(strcmp(argument[2], "udp") ? SOCK_STREAM : SOCK_DGRAM, argument[3], atoi(argument[4]));
	fprintf(stderr,
		"usage: probe send TAG ADDRESS PORT COUNT INTERVAL_US [fresh] | receive PORT | raw DEVICE COUNT "
		"OFFSET FRAME... | mirror PORT | ask tcp|udp ADDRESS PORT | echo PORT PORT | reach ADDRESS PORT...\n");
	return 2;
}
