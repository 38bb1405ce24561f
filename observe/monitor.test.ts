import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { api } from '../base/index.ts';
import { Monitor } from './monitor.ts';
import { sampleEvent, sampleNames } from './sample.ts';

/** A client that takes `room` records and is full then, until `take` makes room again. */
function slowClient(room: number): {
  seen: api.MonitorRecord[];
  write: (r: api.MonitorRecord) => boolean;
  take: (n: number) => void;
} {
  let left = room;
  const seen: api.MonitorRecord[] = [];
  return { seen, write: (record) => (seen.push(record), --left > 0), take: (n) => void (left = n) };
}

function collect(monitor: Monitor, filter: Parameters<Monitor['subscribe']>[0]): api.MonitorRecord[] {
  const seen: api.MonitorRecord[] = [];
  monitor.subscribe(filter, { write: (record) => (seen.push(record), true) });
  return seen;
}

for (const { name, filter, want } of [
  { name: 'no filter takes everything', filter: {}, want: [1, 4, 5, 1] },
  { name: 'by type', filter: { types: ['drop'] }, want: [1, 1] },
  { name: 'by several types', filter: { types: ['trace', 'policy-verdict'] }, want: [4, 5] },
  { name: 'by source', filter: { from: 4 }, want: [1, 4, 5] },
  { name: 'by destination', filter: { to: 4 }, want: [1] },
  { name: 'by either side', filter: { relatedTo: 12, types: ['drop'] }, want: [1, 1] },
  { name: 'members restrict together', filter: { from: 4, to: 99 }, want: [] },
] as const) {
  test(`filter: ${name}`, () => {
    const monitor = new Monitor(sampleNames);
    const seen = collect(monitor, filter);
    for (const type of [1, 4, 5]) monitor.publish(sampleEvent({ type, reason: 0 }));
    monitor.publish(sampleEvent({ sourceEndpoint: 12, destinationEndpoint: 4 }));
    const numbers = { drop: 1, trace: 4, 'policy-verdict': 5, lost: 0 };
    assert.deepEqual(
      seen.map((record) => numbers[record.type]),
      want,
    );
  });
}

test('an event that two clients want is enriched once, one that nobody wants not at all', () => {
  let lookups = 0;
  const monitor = new Monitor({ ...sampleNames, dropReason: () => String(lookups++) });
  collect(monitor, { types: ['drop'] });
  collect(monitor, {});
  monitor.publish(sampleEvent());
  assert.equal(lookups, 1);
  const idle = new Monitor({ ...sampleNames, dropReason: () => assert.fail('looked up') });
  collect(idle, { types: ['trace'] });
  idle.publish(sampleEvent());
});

test('a closed subscription gets nothing more and is not counted', () => {
  const monitor = new Monitor(sampleNames);
  const client = slowClient(1);
  const subscription = monitor.subscribe({}, client);
  monitor.publish(sampleEvent());
  monitor.publish(sampleEvent());
  subscription.close();
  subscription.resume();
  assert.equal(client.seen.length, 1);
  assert.equal(monitor.subscribers, 0);
});

test('losses of the ring are told to every client', () => {
  const monitor = new Monitor(sampleNames);
  const seen = [collect(monitor, {}), collect(monitor, { types: ['trace'] })];
  monitor.lost(0);
  monitor.lost(3);
  assert.deepEqual(seen, [[{ type: 'lost', count: 3 }], [{ type: 'lost', count: 3 }]]);
});

test('a full client loses what exceeds its queue and is told how many, in the place where they are missing', () => {
  const monitor = new Monitor(sampleNames);
  const client = slowClient(1);
  const subscription = monitor.subscribe({}, client, 2);
  for (let i = 0; i < 6; i++) monitor.publish(sampleEvent({ length: i }));
  client.take(100);
  subscription.resume();
  monitor.publish(sampleEvent({ length: 6 }));
  const told = client.seen.map((record) => (record.type === 'lost' ? `lost ${record.count}` : record.length));
  assert.deepEqual(told, [0, 1, 2, 'lost 3', 6]);
});

test('however a client stalls, events seen plus events lost are events sent, in order', () => {
  const step = fc.oneof(fc.constant('event' as const), fc.integer({ min: 1, max: 5 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 0, max: 8 }), (steps, limit) => {
      const monitor = new Monitor(sampleNames);
      const client = slowClient(2);
      const subscription = monitor.subscribe({}, client, limit);
      let sent = 0;
      for (const what of [...steps, 10_000]) {
        if (what === 'event') monitor.publish(sampleEvent({ length: sent++ }));
        else {
          client.take(what);
          subscription.resume();
        }
      }
      let next = 0;
      for (const record of client.seen) {
        if (record.type !== 'lost') assert.equal(record.length, next);
        next += record.type === 'lost' ? record.count : 1;
      }
      assert.equal(next, sent);
    }),
  );
});
