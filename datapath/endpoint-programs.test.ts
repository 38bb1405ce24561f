import assert from 'node:assert/strict';
import test from 'node:test';
import { silentLog } from '../base/index.ts';
import { KernelError } from '../kernel/index.ts';
import { EndpointPrograms } from './endpoint-programs.ts';

const A = { name: 'weir1', ifindex: 11 };
const B = { name: 'weir2', ifindex: 12 };
const QUIET_MS = 2_000;
const ENODEV = 19;
const EOPNOTSUPP = 95;

/** A kernel that writes down what is done to it; attaching a link takes until `settle`. */
class Rig {
  readonly log: string[] = [];
  readonly pinned = new Set<string>();
  readonly programs: EndpointPrograms;
  /** Errno with which the kernel answers to filters, and to links. */
  refuses = { filter: 0, link: 0 };
  #waiting: (() => void)[] = [];

  constructor(tcx = true) {
    const object = {
      program: (name: string): number => (name === 'from_container' ? 1 : 2),
      attachFilter: (): void => assert.fail('not without the filters below'),
      isTakingOver: false,
      isAttached: (name: string): boolean => this.pinned.has(name),
      forget: (name: string): void => {
        this.log.push(`forget ${name}`);
        this.pinned.delete(name);
      },
      attach: async (program: string, { name }: { name: string }, direction: string): Promise<void> => {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (this.refuses.link !== 0) throw new KernelError('attach', this.refuses.link);
        this.log.push(`link ${name} ${direction} ${program}`);
        this.pinned.add(name);
      },
    };
    const filters = {
      attach: (program: number, ifindex: number, direction: string): void => {
        if (this.refuses.filter !== 0) throw new KernelError('attach', this.refuses.filter);
        this.log.push(`filter ${ifindex} ${direction} ${program}`);
      },
      detach: (ifindex: number, direction: string): void =>
        void this.log.push(`no filter ${ifindex} ${direction}`),
    };
    this.programs = new EndpointPrograms({ object, tcx, log: silentLog, filters });
  }

  /** Lets the kernel get done, and everything go on that waited for it. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) {
      for (const resolve of this.#waiting.splice(0)) resolve();
      await new Promise(setImmediate);
    }
  }

  done(): string[] {
    return this.log.splice(0);
  }
}

const FILTERS_A = ['filter 11 ingress 1', 'filter 11 egress 2'];
const LINKS_A = [
  'link weir1 ingress from_container',
  'link weir1 egress to_container',
  'no filter 11 ingress',
  'no filter 11 egress',
];
const LINKS_B = LINKS_A.map((line) => line.replace('weir1', 'weir2').replace('11', '12'));

test('filters at once; links when no endpoint has come for a while, and only then the filters go', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  await rig.programs.attach(A);
  assert.deepEqual(rig.done(), FILTERS_A);
  context.mock.timers.tick(QUIET_MS - 1);
  await rig.programs.attach(B);
  rig.done();
  context.mock.timers.tick(QUIET_MS - 1);
  await rig.settle();
  assert.deepEqual(rig.done(), []);
  context.mock.timers.tick(1);
  await rig.settle();
  assert.deepEqual(rig.done(), [...LINKS_A, ...LINKS_B]);
});

test('an endpoint that comes meanwhile has the way free; the others wait again', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  await rig.programs.attach(A);
  await rig.programs.attach(B);
  rig.done();
  context.mock.timers.tick(QUIET_MS);
  await rig.programs.attach({ name: 'weir3', ifindex: 13 });
  await rig.settle();
  assert.deepEqual(rig.done(), ['filter 13 ingress 1', 'filter 13 egress 2', ...LINKS_A]);
  context.mock.timers.tick(QUIET_MS);
  await rig.settle();
  assert.deepEqual(rig.done().slice(0, 4), LINKS_B);
});

test('links of an earlier process are replaced as links, and what it had as filters goes', async () => {
  const rig = new Rig();
  rig.pinned.add('weir1');
  const attached = rig.programs.attach(A);
  await rig.settle();
  await attached;
  assert.deepEqual(rig.done(), LINKS_A);
});

test('a kernel without filters has links from the start; one without links keeps its filters', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  rig.refuses.filter = EOPNOTSUPP;
  const attached = rig.programs.attach(A);
  await rig.settle();
  await attached;
  assert.deepEqual(rig.done(), LINKS_A);
  const old = new Rig(false);
  await old.programs.attach(A);
  context.mock.timers.tick(10 * QUIET_MS);
  await old.settle();
  assert.deepEqual(old.done(), FILTERS_A);
  old.refuses.filter = EOPNOTSUPP;
  await assert.rejects(old.programs.attach(B), { errno: 'EOPNOTSUPP' });
});

test('a device that is not there is an error at once, and no matter later', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  rig.refuses.filter = ENODEV;
  await assert.rejects(rig.programs.attach(A), { errno: 'ENODEV' });
  rig.refuses = { filter: 0, link: ENODEV };
  await rig.programs.attach(A);
  rig.done();
  context.mock.timers.tick(QUIET_MS);
  await rig.settle();
  assert.deepEqual(rig.done(), [], 'its filters are left alone');
});

test('what is forgotten gets no links; what is just getting them is forgotten after', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  await rig.programs.attach(A);
  await rig.programs.attach(B);
  await rig.programs.forget('weir1');
  rig.done();
  context.mock.timers.tick(QUIET_MS);
  const forgotten = rig.programs.forget('weir2');
  await rig.settle();
  await forgotten;
  assert.deepEqual(rig.done(), [...LINKS_B, 'forget weir2']);
  assert.deepEqual([...rig.pinned], []);
});

test('the end waits for what is under way and begins nothing more', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const rig = new Rig();
  await rig.programs.attach(A);
  await rig.programs.attach(B);
  rig.done();
  context.mock.timers.tick(QUIET_MS);
  let isClosed = false;
  const closed = rig.programs.close().then(() => (isClosed = true));
  await new Promise(setImmediate);
  assert.equal(isClosed, false);
  await rig.settle();
  await closed;
  assert.deepEqual(rig.done(), LINKS_A);
});
