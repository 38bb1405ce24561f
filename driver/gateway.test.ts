import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseGateway } from './gateway.ts';

const POOLS = ['10.85.0.0/24', 'fd00:85::/64'];

const cases: { name: string; family?: 4 | 6; offered?: string; taken: string[]; expected: string }[] = [
  { name: 'the first link-local address', taken: [], expected: '169.254.1.1' },
  { name: 'the next free one', taken: ['169.254.1.1', '169.254.1.2'], expected: '169.254.1.3' },
  { name: "the user's, inside a pool", offered: '10.85.0.254', taken: [], expected: '10.85.0.254' },
  {
    name: "its own where the user's is another network's",
    offered: '10.85.0.1',
    taken: ['10.85.0.1'],
    expected: '169.254.1.1',
  },
  {
    name: 'its own where the offered one is outside the pools',
    offered: '10.9.9.9',
    taken: [],
    expected: '169.254.1.1',
  },
  { name: 'an offered link-local address', offered: '169.254.7.7', taken: [], expected: '169.254.7.7' },
  {
    name: "never the cloud's metadata address",
    offered: '169.254.169.254',
    taken: [],
    expected: '169.254.1.1',
  },
  { name: 'in IPv6 the one that every link has', family: 6, taken: ['fe80::1'], expected: 'fe80::1' },
  {
    name: "in IPv6 the user's, inside a pool",
    family: 6,
    offered: 'fd00:85::fe',
    taken: [],
    expected: 'fd00:85::fe',
  },
  {
    name: "in IPv6 never the host's own",
    family: 6,
    offered: 'fd00:85::1',
    taken: ['fd00:85::1'],
    expected: 'fe80::1',
  },
];

for (const { name, family = 4, offered, taken, expected } of cases) {
  test(`a network's gateway is ${name}`, () => {
    assert.equal(chooseGateway({ family, offered, pools: POOLS }, new Set(taken)), expected);
  });
}

test('a network has no gateway of a family that it does not have', () => {
  const wish = { family: 6, offered: undefined, pools: ['10.85.0.0/24'] } as const;
  assert.equal(chooseGateway(wish, new Set()), undefined);
});

test('link-local gateways leave out reserved blocks and run out with a clear error', () => {
  const blocks = Array.from({ length: 256 }, (_, block) => block).filter(
    (block) => ![0, 169, 170, 255].includes(block),
  );
  const all = blocks.flatMap((block) =>
    Array.from({ length: 254 }, (_, host) => `169.254.${block}.${host + 1}`),
  );
  const last = all.at(-1) ?? '';
  const wish = { family: 4, offered: undefined, pools: POOLS } as const;
  assert.equal(chooseGateway(wish, new Set(all.slice(0, -1))), last);
  assert.throws(() => chooseGateway(wish, new Set(all)), { code: 'GATEWAYS_EXHAUSTED' });
});
