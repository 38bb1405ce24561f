/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP that tells of every loss. Linked statically.
 *   talk serve PORT                          sends back whatever comes, until SIGTERM
 *   talk stream ADDRESS PORT INTERVAL_US     one connection for its whole life: number after number, each waited for
 *   talk connect ADDRESS PORT INTERVAL_US    a connection for every number
 * The last two go on until SIGTERM and print {"sent":n,"answered":n,"again":n} then; `again` counts segments that the
 * kernel had to send a second time, which is what a lost packet looks like.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_MS 900 /* less than the second after which a SYN is sent again */

struct tally {
	unsigned int sent, answered, again;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void echo(int fd)
{
	char bytes[256];
	ssize_t size;

	while ((size = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, size) != size)
			break;
	exit(0);
}

static int serve(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd, listener = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGCHLD, SIG_IGN);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 128) < 0) {
		perror("serve");
		return 1;
	}
	while (!stopped) {
		fd = accept(listener, NULL, NULL);
		if (fd >= 0 && fork() == 0)
			echo(fd);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int open_connection(char **argument)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argument[1])) };
	struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, argument[0], &to.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One number there and back; a signal is no reason to leave it half way. */
static int exchange(int fd, unsigned int number)
{
	unsigned int answer;
	ssize_t size;

	if (write(fd, &number, sizeof(number)) != sizeof(number))
		return 0;
	do
		size = recv(fd, &answer, sizeof(answer), MSG_WAITALL);
	while (size < 0 && stopped);
	return size == sizeof(answer) && answer == number;
}

static void finish(int fd, struct tally *tally)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
		tally->again += info.tcpi_total_retrans;
	close(fd);
}

static int talk(char **argument, int fresh)
{
	struct tally tally = {};
	int fd = -1, is_fine = 1;

	while (!stopped && is_fine) {
		if (fd < 0)
			fd = open_connection(argument);
		if (fd >= 0 && exchange(fd, tally.sent))
			tally.answered++;
		else if (!fresh)
			is_fine = 0;
		tally.sent++;
		if (fd >= 0 && fresh) {
			finish(fd, &tally);
			fd = -1;
		}
		usleep(atoi(argument[2]));
	}
	if (fd >= 0)
		finish(fd, &tally);
	printf("{\"sent\":%u,\"answered\":%u,\"again\":%u}\n", tally.sent, tally.answered, tally.again);
	return 0;
}

int main(int count, char **argument)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGTERM, &action, NULL); /* without SA_RESTART: accept must return */
	if (count == 3 && !strcmp(argument[1], "serve"))
		return serve(atoi(argument[2]));
	if (count == 5 && !strcmp(argument[1], "stream"))
		return talk(argument + 2, 0);
	if (count == 5 && !strcmp(argument[1], "connect"))
		return talk(argument + 2, 1);
	fprintf(stderr,
		"usage: talk serve PORT | stream ADDRESS PORT INTERVAL_US | connect ADDRESS PORT INTERVAL_US\n");
	return 2;
}
