import assert from 'node:assert/strict';
import test from 'node:test';
import type { Rule } from '../policy/index.ts';
import { PolicyRepository } from './policy-repository.ts';

/** A file with one rule, under a label. */
function file(name: string, id = name): { name: string; text: string } {
  const rule = {
    labels: [`name=${name}`],
    endpointSelector: { matchLabels: { id } },
    ingress: [{ fromEntities: ['host'] }],
  };
  return { name: `${name}.json`, text: JSON.stringify([rule]) };
}

/** Durable records and a datapath in memory, with a log of what came when; `failing` is the step that does not work. */
class Rig {
  readonly log: string[] = [];
  readonly records = new Map<string, unknown>();
  failing = '';
  inForce: readonly Rule[] = [];
  repository = this.restart();

  restart(): PolicyRepository {
    return (this.repository = new PolicyRepository({
      records: {
        get: async (key) => {
          const value = structuredClone(this.records.get(key));
          return value === undefined ? undefined : { value };
        },
        put: async (key, value) => {
          await new Promise(setImmediate);
          this.#step('put');
          this.records.set(key, structuredClone(value));
        },
      },
      target: {
        apply: (rules, revision) => {
          this.#step(`apply ${revision}: ${idsOf(rules)}`);
          this.inForce = rules;
        },
      },
    }));
  }

  #step(what: string): void {
    if (this.failing !== '' && what.startsWith(this.failing)) throw new Error(`cannot ${what}`);
    this.log.push(what);
  }
}

function idsOf(rules: readonly Rule[]): string {
  return rules
    .map(({ endpointSelector }) => Object.values(endpointSelector.matchLabels ?? {}).join())
    .join(' ');
}

const REPLACE = { replaceAll: true };
const ADD = { replaceAll: false };

test('in force, then durable, then answered; changes wait their turn', async () => {
  const { repository, log } = new Rig();
  const changes = [
    repository.import([file('a'), file('b')], ADD),
    repository.import([file('b', 'c')], ADD),
    repository.delete({ labels: ['name=a'] }),
    repository.import([file('d')], REPLACE),
  ];
  const revisions = await Promise.all(changes);
  assert.deepEqual(revisions, [
    { revision: 2, count: 2 },
    { revision: 3, count: 1 },
    { revision: 4, count: 1 },
    { revision: 5, count: 1 },
  ]);
  assert.deepEqual(log, [
    ...['apply 2: a b', 'put', 'apply 3: a c', 'put'],
    ...['apply 4: c', 'put', 'apply 5: d', 'put'],
  ]);
});

test('a restart finds the policy and goes on counting', async () => {
  const rig = new Rig();
  await rig.repository.import([file('a')], ADD);
  rig.restart();
  await rig.repository.load();
  assert.equal(rig.repository.revision, 2);
  assert.equal(rig.log.at(-1), 'apply 2: a');
  assert.equal((await rig.repository.delete('all')).revision, 3);
});

test('without a record the policy is empty and its revision the first', async () => {
  const { repository, log } = new Rig();
  await repository.load();
  assert.deepEqual([repository.revision, log], [1, ['apply 1: ']]);
});

test('a mistake in one file changes nothing', async () => {
  const { repository, log } = new Rig();
  const wrong = { name: 'b.json', text: '[{"endpointSelector": {}, "ingres": []}]' };
  await assert.rejects(repository.import([file('a'), wrong], ADD), {
    code: 'POLICY_INVALID',
    message: /^b\.json/,
  });
  assert.deepEqual([repository.revision, log], [1, []]);
});

test('a policy that the datapath refuses is not recorded, and the next one is none the worse', async () => {
  const rig = new Rig();
  await rig.repository.import([file('a')], ADD);
  rig.failing = 'apply 3';
  await assert.rejects(rig.repository.import([file('b')], ADD), /cannot apply 3/);
  assert.deepEqual([rig.repository.revision, idsOf(rig.repository.rules), idsOf(rig.inForce)], [2, 'a', 'a']);
  rig.failing = '';
  assert.deepEqual(await rig.repository.import([file('c')], ADD), { revision: 3, count: 1 });
});

test('a policy that cannot be recorded is taken out of force again', async () => {
  const rig = new Rig();
  await rig.repository.import([file('a')], ADD);
  rig.failing = 'put';
  await assert.rejects(rig.repository.import([file('b')], REPLACE), /cannot put/);
  assert.deepEqual([rig.repository.revision, idsOf(rig.repository.rules), idsOf(rig.inForce)], [2, 'a', 'a']);
  assert.equal(rig.log.at(-1), 'apply 2: a');
});

test('rules are found and deleted by all of the labels', async () => {
  const { repository } = new Rig();
  await repository.import([file('a'), file('b')], ADD);
  assert.equal(idsOf(repository.select(['name=b'])), 'b');
  assert.equal(repository.select([]).length, 2);
  await assert.rejects(repository.delete({ labels: ['name=a', 'name=b'] }), { code: 'POLICY_NOT_FOUND' });
  assert.deepEqual(await repository.delete('all'), { revision: 3, count: 2 });
  assert.deepEqual(await repository.delete('all'), { revision: 4, count: 0 });
});

test('who waits for a revision is told when it is in force and durable', async () => {
  const { repository, log } = new Rig();
  const { signal } = new AbortController();
  const waiting = repository.wait(3, 10_000, signal).then((answer) => ({ ...answer, after: log.length }));
  await repository.import([file('a')], ADD);
  await repository.import([file('b')], ADD);
  assert.deepEqual(await waiting, { revision: 3, reached: true, after: 4 });
  assert.deepEqual(await repository.wait(2, 10_000, signal), { revision: 3, reached: true });
});

test('waiting ends with its time or with who waits', async () => {
  const { repository } = new Rig();
  const client = new AbortController();
  assert.deepEqual(await repository.wait(9, 20, client.signal), { revision: 1, reached: false });
  const waiting = repository.wait(9, 60_000, client.signal);
  client.abort();
  assert.deepEqual(await waiting, { revision: 1, reached: false });
  assert.deepEqual(await repository.wait(9, 60_000, client.signal), { revision: 1, reached: false });
});
