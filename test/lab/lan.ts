/** An Ethernet segment between lab machines; a machine that is not a Docker host plays the world. */
import { LabNamespace } from './namespace.ts';
import { run } from './run.ts';

export class Lan implements AsyncDisposable {
  readonly #bridge: LabNamespace;
  readonly #neighbours: LabNamespace[] = [];
  #ports = 0;

  private constructor(bridge: LabNamespace) {
    this.#bridge = bridge;
  }

  static async start(name: string): Promise<Lan> {
    const bridge = await LabNamespace.start(name);
    await bridge.run(['ip', 'link', 'add', 'lan', 'type', 'bridge', 'mcast_snooping', '0']);
    await bridge.run(['ip', 'link', 'set', 'lan', 'up']);
    return new Lan(bridge);
  }

  /** Gives the machine a device on this segment, with addresses of either family. */
  async attach(machine: LabNamespace, device: string, ...addresses: string[]): Promise<void> {
    const port = `port${this.#ports++}`;
    const ends = [device, 'netns', String(machine.pid), 'type', 'veth', 'peer', 'name', port];
    await run(['ip', 'link', 'add', ...ends, 'netns', String(this.#bridge.pid)]);
    await this.#bridge.run(['ip', 'link', 'set', port, 'master', 'lan', 'up']);
    for (const address of addresses) {
      const flags = address.includes(':') ? ['nodad'] : [];
      await machine.run(['ip', 'addr', 'add', address, 'dev', device, ...flags]);
    }
    await machine.run(['ip', 'link', 'set', device, 'up', 'multicast', 'on']);
  }

  /** A machine without Docker on this segment; it ends with the segment. */
  async neighbour(name: string, ...addresses: string[]): Promise<LabNamespace> {
    const machine = await LabNamespace.start(name);
    this.#neighbours.push(machine);
    await this.attach(machine, 'eth0', ...addresses);
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#neighbours) await machine[Symbol.asyncDispose]();
    await this.#bridge[Symbol.asyncDispose]();
  }
}
