/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of every measurement, in one static binary for the image of the benches:
 *   traffic now                            the monotonic clock, in ns: when this process ran
 *   traffic echo CPU PORT                  answers every byte on one connection after the other
 *   traffic rr CPU ADDRESS PORT MS         1 byte there and back; {"p50","p99"} in ns, {"count"}
 *   traffic accept CPU PORT                accepts and resets
 *   traffic connect CPU ADDRESS PORT MS    connects until the other end resets; {"perSecond"}
 *   traffic tick ADDRESS PORT INTERVAL_US  numbered datagrams that carry their time of sending
 *   traffic gaps PORT                      a line {"last","first"} per hole in them: times of sending around it
 * CPU: the one to run on, or -1 for any.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_SAMPLES (1 << 20)

struct datagram {
	uint64_t number;
	uint64_t sent_ns;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void run_on(const char *cpu)
{
	cpu_set_t set;

	if (atoi(cpu) < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

/* Of either family; both forms are as long as their family wants them. */
struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	};
	socklen_t size;
};

static struct place at(const char *address, const char *port)
{
	struct place place = { .six = { .sin6_family = AF_INET6, .sin6_port = htons(atoi(port)) },
			       .size = sizeof(place.six) };
	struct in_addr four;

	if (inet_pton(AF_INET6, address, &place.six.sin6_addr) == 1)
		return place;
	if (inet_pton(AF_INET, address, &four) != 1)
		fail(address);
	place.four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr = four };
	place.size = sizeof(place.four);
	return place;
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

static int listen_on(const char *port)
{
	struct place address = at("::", port); /* and IPv4 */
	int fd = open_socket(AF_INET6, SOCK_STREAM), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &address.any, address.size) || listen(fd, 4096))
		fail("listen");
	return fd;
}

static int connect_to(const struct place *address)
{
	int fd = open_socket(address->any.sa_family, SOCK_STREAM), one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, &address->any, address->size))
		fail("connect");
	return fd;
}

static int accept_from(int listener)
{
	int fd = accept(listener, NULL, NULL), one = 1;

	if (fd < 0)
		fail("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int by_value(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

static _Noreturn int serve_echo(char **arguments)
{
	int listener = listen_on(arguments[1]);
	char byte;

	run_on(arguments[0]);
	for (;;) {
		int fd = accept_from(listener);

		while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
			;
		close(fd);
	}
}

static int measure_round_trips(char **arguments)
{
	uint32_t *samples = malloc(MOST_SAMPLES * sizeof(*samples));
	struct place address = at(arguments[1], arguments[2]);
	uint64_t end, before;
	size_t count = 0;
	char byte = 'x';
	int fd;

	run_on(arguments[0]);
	fd = connect_to(&address);
	end = now() + strtoull(arguments[3], NULL, 10) * 1000000;
	while (count < MOST_SAMPLES && (before = now()) < end) {
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			fail("round trip");
		samples[count++] = now() - before;
	}
	qsort(samples, count, sizeof(*samples), by_value);
	printf("{\"p50\":%u,\"p99\":%u,\"count\":%zu}\n", samples[count / 2], samples[count * 99 / 100], count);
	return 0;
}

/* A reset instead of a farewell: neither end is left in TIME_WAIT, so the same ports serve again and again. */
static _Noreturn int serve_accept(char **arguments)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int listener = listen_on(arguments[1]);

	run_on(arguments[0]);
	for (;;) {
		int fd = accept_from(listener);

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
}

static int measure_connects(char **arguments)
{
	struct place address = at(arguments[1], arguments[2]);
	uint64_t count = 0, start, end;
	char byte;

	run_on(arguments[0]);
	start = now();
	end = start + strtoull(arguments[3], NULL, 10) * 1000000;
	while (now() < end) {
		int fd = connect_to(&address);

		if (read(fd, &byte, 1) > 0)
			fail("read");
		close(fd);
		count++;
	}
	printf("{\"perSecond\":%.1f}\n", (double)count * 1e9 / (double)(now() - start));
	return 0;
}

static _Noreturn int send_ticks(char **arguments)
{
	struct place address = at(arguments[0], arguments[1]);
	struct timespec pause = { .tv_nsec = atol(arguments[2]) * 1000 };
	struct datagram datagram = { 0 };
	int fd = open_socket(address.any.sa_family, SOCK_DGRAM);

	for (;;) {
		datagram.number++;
		datagram.sent_ns = now();
		sendto(fd, &datagram, sizeof(datagram), 0, &address.any, address.size);
		nanosleep(&pause, NULL);
	}
}

static int watch_gaps(char **arguments)
{
	struct place address = at("::", arguments[0]);
	struct datagram before = { 0 }, datagram;
	int fd = open_socket(AF_INET6, SOCK_DGRAM);

	if (bind(fd, &address.any, address.size))
		fail("bind");
	while (read(fd, &datagram, sizeof(datagram)) == sizeof(datagram)) {
		if (before.number && datagram.number != before.number + 1) {
			printf("{\"last\":%llu,\"first\":%llu}\n", (unsigned long long)before.sent_ns,
			       (unsigned long long)datagram.sent_ns);
			fflush(stdout);
		}
		before = datagram;
	}
	return 1;
}

static int tell_time(char **arguments)
{
	(void)arguments;
	printf("%llu\n", (unsigned long long)now());
	return 0;
}

static const struct mode {
	const char *name;
	int arguments;
	int (*run)(char **arguments);
} MODES[] = {
	{ "now", 0, tell_time },       { "echo", 2, serve_echo },	   { "rr", 4, measure_round_trips },
	{ "accept", 2, serve_accept }, { "connect", 4, measure_connects }, { "tick", 3, send_ticks },
	{ "gaps", 1, watch_gaps },
};

int main(int count, char **arguments)
{
	for (size_t i = 0; count > 1 && i < sizeof(MODES) / sizeof(*MODES); i++)
		if (!strcmp(arguments[1], MODES[i].name) && count == MODES[i].arguments + 2)
			return MODES[i].run(arguments + 2);
	fprintf(stderr, "usage: see the head of traffic.c\n");
	return 2;
}
