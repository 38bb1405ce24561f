/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel of bare IP packets between two network namespaces, as a VPN is. Linked statically.
 *   tunnel DEVICE NAMESPACE NAMESPACE     makes DEVICE (TUN) in both, says "up", and carries packets until SIGTERM
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Returns a descriptor of the device's packets, or -1. */
static int open_device(const char *name, const char *namespace)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int home = open(namespace, O_RDONLY), fd;

	/* a device belongs where the file was opened */
	if (home < 0 || setns(home, CLONE_NEWNET) < 0)
		return -1;
	fd = open("/dev/net/tun", O_RDWR);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return -1;
	close(home);
	return fd;
}

int main(int count, char **argument)
{
	struct pollfd ends[2] = { { .events = POLLIN }, { .events = POLLIN } };
	char packet[65536];

	if (count != 4)
		return 2;
	for (int i = 0; i < 2; i++) {
		ends[i].fd = open_device(argument[1], argument[2 + i]);
		if (ends[i].fd < 0) {
			perror(argument[2 + i]);
			return 1;
		}
	}
	puts("up");
	fflush(stdout);
	while (poll(ends, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t size = ends[i].revents ? read(ends[i].fd, packet, sizeof(packet)) : 0;

			/* a device that is down takes nothing, as a cable that is out */
			if (size > 0 && write(ends[!i].fd, packet, size) < 0)
				continue;
		}
	return 1;
}
