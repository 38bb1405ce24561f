/** Routes inside containers, which dockerd makes when a network is joined and nobody but their namespace knows later. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Netlink } from '../kernel/index.ts';

/** A route inside a container. */
export interface SandboxRoute {
  destination: string;
  gateway: string;
  /** Of the container; the route is by the interface that has it. */
  address: string;
}

export class SandboxRoutes {
  readonly #folder: string;

  /** `folder`: where this process finds Docker's network namespaces, should it not be where Docker says. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** First adds, in place of what leads to the same destination, then removes. Throws KernelError, or ENOENT without namespace. */
  change(sandbox: string, { add, remove }: { add: SandboxRoute[]; remove: SandboxRoute[] }): void {
    const netlink = Netlink.openIn(existsSync(sandbox) ? sandbox : join(this.#folder, basename(sandbox)));
    try {
      const interfaces = new Map(netlink.addresses().map(({ address, ifindex }) => [address, ifindex]));
      for (const { destination, gateway, address } of add) {
        const ifindex = interfaces.get(address);
        if (ifindex !== undefined) netlink.addRoute({ destination, gateway, ifindex });
      }
      for (const { destination, gateway } of remove) netlink.deleteRoute({ destination, gateway });
    } finally {
      netlink.close();
    }
  }
}
