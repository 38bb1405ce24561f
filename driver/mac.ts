/** MAC addresses of containers that asked for none. */

/** Locally administered, unicast, one per IPv4 address: a container that keeps its address keeps its neighbours' caches right. */
export function macOfAddress(ipv4: string): string {
  const bytes = ipv4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '77', ...bytes].join(':');
}
