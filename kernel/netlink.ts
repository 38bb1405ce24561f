/** Links, addresses, routes, rules and neighbours of the process's network namespace, without a process. */
import type { Family } from '../base/index.ts';
import { ERRNO, KernelError } from './failure.ts';
import { decodeAddress, encodeAddress, encodeAddressHeader, RTM_ADDRESS } from './interface-address.ts';
import type { AddressOptions, InterfaceAddress } from './interface-address.ts';
import { decodeLink, encodeLink, encodeNoLinkLocal, encodeVeth, RTM_LINK } from './link.ts';
import type { Link, LinkFields } from './link.ts';
import { inNetworkNamespace } from './namespace.ts';
import { decodeNeighbour, encodeNeighbour, encodeNeighbourFilter, RTM_NEIGHBOUR } from './neighbour.ts';
import type { Neighbour } from './neighbour.ts';
import { FLAG } from './netlink-message.ts';
import { NetlinkSocket, watchChanges } from './netlink-socket.ts';
import type { Change, Request } from './netlink-socket.ts';
import {
  decodeAnswer,
  decodeRoute,
  encodeRoute,
  encodeRouteFilter,
  encodeRouteMatch,
  encodeRouteQuestion,
  RTM_ROUTE,
} from './route.ts';
import type { NewRoute, Route } from './route.ts';
import { decodeRule, encodeRule, encodeRuleFilter, RTM_RULE } from './rule.ts';
import type { NewRule, Rule } from './rule.ts';

const CREATE = FLAG.create | FLAG.exclusive;
const REPLACE = FLAG.create | FLAG.replace;
const FAMILIES: readonly Family[] = [4, 6];

export interface VethOptions {
  name: string;
  peer: string;
  mac: string;
  peerMac: string;
  mtu: number;
  /** Gives the host's end no IPv6 link-local address when it comes up. */
  withoutLinkLocal?: boolean;
}

function present<T>(items: (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}

/** The group of links that are about to go: "weir" in ASCII, so that nobody else's is taken along. */
const LEAVING = 0x77656972;

/**
 * One socket, synchronous: a request takes some 10 µs. Throws KernelError with the kernel's own sentence where it gives
 * one. Removing what is not there is no error. While a link is being deleted, changes wait for it in the kernel.
 */
export class Netlink {
  readonly #socket = new NetlinkSocket();
  #deletion: Promise<void> = Promise.resolve();
  #nextDeletion: Promise<void> | undefined;

  private constructor() {}

  static open(): Netlink {
    return new Netlink();
  }

  /** Of the network namespace that the file stands for; without what runs on a worker thread. */
  static openIn(namespace: string): Netlink {
    return inNetworkNamespace(namespace, () => new Netlink());
  }

  close(): void {
    this.#socket.close();
  }

  links(): Link[] {
    const dump = this.#socket.dump({ type: RTM_LINK.get, body: encodeLink({}), action: 'list links' });
    return present(dump.map(decodeLink));
  }

  link(nameOrIndex: string | number): Link | undefined {
    const body = encodeLink(typeof nameOrIndex === 'number' ? { index: nameOrIndex } : { name: nameOrIndex });
    const request = { type: RTM_LINK.get, body, action: `look up link ${nameOrIndex}` };
    const [answer] = this.#answerUnless(request, 'ENODEV');
    return answer === undefined ? undefined : decodeLink(answer);
  }

  /** A pair, both ends down. Throws EEXIST where either name is taken, with nothing made. */
  createVeth({ name, peer, mac, peerMac, mtu, withoutLinkLocal }: VethOptions): {
    index: number;
    peerIndex: number;
  } {
    const body = encodeVeth({ name, mac, mtu }, { name: peer, mac: peerMac, mtu });
    const index = this.#create(name, body, `create veth ${name} with peer ${peer}`);
    if (withoutLinkLocal === true) this.#forgoLinkLocal(index, name);
    return { index, peerIndex: this.link(index)?.peerIndex ?? 0 };
  }

  /** Index of the new bridge, which is down. */
  createBridge({ name, mac, mtu }: { name: string; mac?: string; mtu?: number }): number {
    const fields: LinkFields = { name, kind: 'bridge' };
    if (mac !== undefined) fields.mac = mac;
    if (mtu !== undefined) fields.mtu = mtu;
    return this.#create(name, encodeLink(fields), `create bridge ${name}`);
  }

  /**
   * Deletes on a worker thread (~15 ms, RCU); of a veth pair both ends go. Harmless where it has gone. Those that come
   * while a deletion is under way wait for one grace period together, not for one each.
   */
  async deleteLink(index: number): Promise<void> {
    try {
      this.#change({ index, group: LEAVING }, 'mark for deletion');
    } catch (error) {
      if (isRefusal(error, 'ENODEV')) return;
      throw error;
    }
    await this.#deleteLeaving();
  }

  setLinkUp(index: number): void {
    this.#change({ index, up: true }, 'bring up');
  }

  setLinkDown(index: number): void {
    this.#change({ index, up: false }, 'bring down');
  }

  setMtu(index: number, mtu: number): void {
    this.#change({ index, mtu }, `set MTU ${mtu} of`);
  }

  setMac(index: number, mac: string): void {
    this.#change({ index, mac }, `set MAC ${mac} of`);
  }

  /** Makes the link a port of a bridge; 0 releases it. */
  setMaster(index: number, master: number): void {
    this.#change({ index, master }, `set master ${master} of`);
  }

  /** Throws EBUSY while the link is up, on kernels before 6.2. */
  rename(index: number, name: string): void {
    this.#change({ index, name }, `rename to ${name}`);
  }

  addresses(): InterfaceAddress[] {
    const request = { type: RTM_ADDRESS.get, body: encodeAddressHeader(), action: 'list addresses' };
    return present(this.#socket.dump(request).map(decodeAddress));
  }

  /** Adds "10.210.0.1/32"; harmless where it is there. */
  addAddress(ifindex: number, prefix: string, options: AddressOptions = {}): void {
    const body = encodeAddress(ifindex, prefix, options);
    const action = `add address ${prefix} to link ${ifindex}`;
    this.#socket.request({ type: RTM_ADDRESS.create, flags: REPLACE, body, action });
  }

  deleteAddress(ifindex: number, prefix: string): void {
    const body = encodeAddress(ifindex, prefix);
    const action = `delete address ${prefix} of link ${ifindex}`;
    this.#answerUnless({ type: RTM_ADDRESS.delete, body, action }, 'EADDRNOTAVAIL', 'ENODEV');
  }

  /** Routes of both families, of one table where given. */
  routes(table?: number): Route[] {
    return FAMILIES.flatMap((family) => {
      const body = encodeRouteFilter(family, table);
      const dump = this.#dumpUnless({ type: RTM_ROUTE.get, body, action: 'list routes' }, 'ENOENT');
      const routes = present(dump.map(decodeRoute)).filter((route) => route.family === family);
      return table === undefined ? routes : routes.filter((route) => route.table === table);
    });
  }

  /** Adds a route, in place of the one with the same destination, table and metric. */
  addRoute(route: NewRoute): void {
    const action = `add route to ${route.destination}`;
    this.#socket.request({ type: RTM_ROUTE.create, flags: REPLACE, body: encodeRoute(route), action });
  }

  deleteRoute(route: NewRoute): void {
    const body = encodeRouteMatch(route);
    const action = `delete route to ${route.destination}`;
    this.#answerUnless({ type: RTM_ROUTE.delete, body, action }, 'ESRCH', 'ENODEV');
  }

  /** The way a packet of this host to `destination` would go, undefined where there is none. */
  routeTo(destination: string, mark?: number): Route | undefined {
    const body = encodeRouteQuestion(destination, mark);
    const request = { type: RTM_ROUTE.get, body, action: `find the route to ${destination}` };
    // no route; then what unreachable, prohibit and blackhole routes answer
    const [answer] = this.#answerUnless(request, 'ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL');
    return answer === undefined ? undefined : decodeAnswer(answer);
  }

  rules(family: Family): Rule[] {
    const request = { type: RTM_RULE.get, body: encodeRuleFilter(family), action: 'list routing rules' };
    return present(this.#dumpUnless(request, 'EAFNOSUPPORT', 'EOPNOTSUPP').map(decodeRule));
  }

  /** Adds a rule; harmless where the same one is there. */
  addRule(rule: NewRule): void {
    const action = `add routing rule ${rule.priority}`;
    this.#answerUnless({ type: RTM_RULE.create, flags: CREATE, body: encodeRule(rule), action }, 'EEXIST');
  }

  deleteRule(rule: NewRule): void {
    const action = `delete routing rule ${rule.priority}`;
    this.#answerUnless({ type: RTM_RULE.delete, body: encodeRule(rule), action }, 'ENOENT');
  }

  neighbours(): Neighbour[] {
    const request = { type: RTM_NEIGHBOUR.get, body: encodeNeighbourFilter(), action: 'list neighbours' };
    return present(this.#socket.dump(request).map(decodeNeighbour));
  }

  /** A permanent entry, in place of any other for the address. */
  addNeighbour(neighbour: { ifindex: number; address: string; mac: string }): void {
    const { ifindex, address } = neighbour;
    const action = `add neighbour ${address} on link ${ifindex}`;
    this.#socket.request({
      type: RTM_NEIGHBOUR.create,
      flags: REPLACE,
      body: encodeNeighbour(neighbour),
      action,
    });
  }

  deleteNeighbour({ ifindex, address }: { ifindex: number; address: string }): void {
    const body = encodeNeighbour({ ifindex, address });
    const action = `delete neighbour ${address} on link ${ifindex}`;
    this.#answerUnless({ type: RTM_NEIGHBOUR.delete, body, action }, 'ENOENT', 'ENODEV', 'ENXIO');
  }

  /** Tells once per burst that links, addresses or routes changed, whoever changed them. Keeps no process alive. */
  watch(onChange: (what: Change) => void): Disposable {
    return watchChanges(onChange);
  }

  #create(name: string, body: Buffer, action: string): number {
    this.#socket.request({ type: RTM_LINK.create, flags: CREATE, body, action });
    const made = this.link(name);
    if (made === undefined) throw new KernelError(`${action}, then find it`, ERRNO.ENODEV);
    return made.index;
  }

  /** Takes away what is marked by the time its turn comes. */
  #deleteLeaving(): Promise<void> {
    this.#nextDeletion ??= this.#deletion.then(() => {
      this.#nextDeletion = undefined;
      return this.#deleteGroup(LEAVING);
    });
    this.#deletion = this.#nextDeletion.catch(() => {});
    return this.#nextDeletion;
  }

  /** No error where there is none: a link that was marked while a deletion began went with it. */
  async #deleteGroup(group: number): Promise<void> {
    const body = encodeLink({ group });
    try {
      await this.#socket.requestAsync({ type: RTM_LINK.delete, body, action: 'delete links' });
    } catch (error) {
      if (!isRefusal(error, 'ENODEV')) throw error;
    }
  }

  #forgoLinkLocal(index: number, name: string): void {
    const action = `turn off IPv6 link-local addresses of ${name}`;
    const body = encodeNoLinkLocal(index);
    this.#answerUnless({ type: RTM_LINK.set, body, action }, 'EAFNOSUPPORT', 'EOPNOTSUPP'); // a host without IPv6
  }

  #change(fields: LinkFields & { index: number }, what: string): void {
    const action = `${what} link ${fields.index}`;
    this.#socket.request({ type: RTM_LINK.set, body: encodeLink(fields), action });
  }

  #answerUnless(request: Request, ...expected: string[]): Buffer[] {
    return unless(() => this.#socket.request(request), expected);
  }

  #dumpUnless(request: Request, ...expected: string[]): Buffer[] {
    return unless(() => this.#socket.dump(request), expected);
  }
}

function isRefusal(error: unknown, ...names: string[]): boolean {
  return error instanceof KernelError && names.includes(error.errno);
}

/** Some refusals are answers: nothing there. */
function unless(ask: () => Buffer[], expected: string[]): Buffer[] {
  try {
    return ask();
  } catch (error) {
    if (isRefusal(error, ...expected)) return [];
    throw error;
  }
}
