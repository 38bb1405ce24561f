/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered datagrams, so that a test can say of each one whether it arrived. Linked statically: as the first process of
 * a container it sends from its first instructions.
 *   probe send TAG ADDRESS PORT COUNT INTERVAL_US [fresh]   COUNT 0: until SIGTERM; fresh: a socket for each datagram
 *   probe receive PORT                                      until SIGTERM
 * Both print one line of JSON at their end: {"sent":n}, or for each tag seen {"received":n,"last":number}.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static int send_all(char **argument, int fresh)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argument[2])) };
	struct datagram datagram = { .tag = argument[0][0] };
	unsigned int count = strtoul(argument[3], NULL, 10), interval = strtoul(argument[4], NULL, 10);
	unsigned int sent = 0;
	int fd = open_socket();

	inet_pton(AF_INET, argument[1], &to.sin_addr);
	while (!stopped && (!count || datagram.number < count)) {
		if (fresh && datagram.number) {
			close(fd);
			fd = open_socket();
		}
		if (sendto(fd, &datagram, sizeof(datagram), 0, (struct sockaddr *)&to, sizeof(to)) == sizeof(datagram))
			sent++;
		datagram.number++;
		usleep(interval);
	}
	usleep(50000); /* the first ones may still wait for the gateway's ARP answer */
	printf("{\"sent\":%u}\n", sent);
	return 0;
}

static int receive_all(char **argument)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argument[0])) };
	static struct tally tally[128];
	struct datagram datagram;
	const char *separator = "{";
	int size = 8 << 20, fd = open_socket();

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		perror("bind");
		return 1;
	}
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

int main(int count, char **argument)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGTERM, &action, NULL); /* without SA_RESTART: recv must return */
	if (count >= 7 && !strcmp(argument[1], "send"))
		return send_all(argument + 2, count > 7);
	if (count == 3 && !strcmp(argument[1], "receive"))
		return receive_all(argument + 2);
	fprintf(stderr, "usage: probe send TAG ADDRESS PORT COUNT INTERVAL_US [fresh] | receive PORT\n");
	return 2;
}
