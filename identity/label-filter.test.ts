import assert from 'node:assert/strict';
import test from 'node:test';
import { UserError } from '../base/index.ts';
import { parseLabel } from './label.ts';
import { LabelFilter } from './label-filter.ts';

const COMPOSE = {
  'com.docker.compose.project': 'shop',
  'com.docker.compose.service': 'web',
  'com.docker.compose.container-number': '2',
  'com.docker.compose.config-hash': 'ab12',
  'com.docker.compose.image': 'sha256:1',
  'com.docker.compose.oneoff': 'False',
  'com.docker.compose.version': '2.24',
  'com.docker.compose.depends_on': '',
  'com.docker.compose.replace': 'x',
  'com.docker.compose.project.working_dir': '/srv',
  'com.docker.compose.project.config_files': 'compose.yaml',
};
const SWARM = {
  'com.docker.stack.namespace': 'shop',
  'com.docker.swarm.service.name': 'shop_web',
  'com.docker.swarm.service.id': 'a1',
  'com.docker.swarm.node.id': 'n1',
  'com.docker.swarm.task': '',
  'com.docker.swarm.task.id': 't1',
  'com.docker.swarm.task.name': 'shop_web.1',
};
const IMAGE = { 'org.opencontainers.image.created': 'now', maintainer: 'us', 'desktop.docker.io/binds': '1' };

/** Keys that count, of labels that all have the value "1". */
function admitted(spec: string, ...keys: string[]): string[] {
  return LabelFilter.parse(spec)
    .admit(Object.fromEntries(keys.map((key) => [key, '1'])))
    .map((label) => label.replace(/^container:(.*)=1$/, '$1'));
}

test('by default a Compose service is one identity over all its replicas', () => {
  assert.deepEqual(LabelFilter.parse().admit({ ...COMPOSE, ...IMAGE, tier: 'front' }), [
    'container:com.docker.compose.project=shop',
    'container:com.docker.compose.service=web',
    'container:tier=front',
  ]);
});

test('by default a Swarm service is one identity over all its tasks', () => {
  assert.deepEqual(LabelFilter.parse().admit(SWARM), [
    'container:com.docker.stack.namespace=shop',
    'container:com.docker.swarm.service.name=shop_web',
  ]);
});

test('a container without labels has none', () => {
  assert.deepEqual(LabelFilter.parse().admit({}), []);
});

test('an empty value stays a label', () => {
  assert.deepEqual(LabelFilter.parse().admit({ flag: '' }), ['container:flag']);
});

const SPECS: { spec: string; keys: string[]; admits: string[]; name: string }[] = [
  {
    name: 'any include: only included keys',
    spec: 'id app',
    keys: ['id', 'app', 'x'],
    admits: ['app', 'id'],
  },
  {
    name: 'excludes alone: everything else stays',
    spec: '!tmp',
    keys: ['id', 'tmp', 'tmp.a'],
    admits: ['id'],
  },
  {
    name: 'anchored at the start of the key only',
    spec: 'app',
    keys: ['application', 'my-app'],
    admits: ['application'],
  },
  {
    name: 'longest include beats shortest exclude',
    spec: '!a a\\.b',
    keys: ['a', 'a.b', 'a.c'],
    admits: ['a.b'],
  },
  {
    name: 'the shortest exclude is what the include must beat',
    spec: '!a !a\\.b\\.c a\\.b',
    keys: ['a.b.c'],
    admits: ['a.b.c'],
  },
  { name: 'equal lengths: excluded', spec: '!ab ab', keys: ['ab'], admits: [] },
  { name: 'commas part items too', spec: 'id,app', keys: ['id', 'app'], admits: ['app', 'id'] },
  { name: 'a source may be named', spec: 'container:id', keys: ['id', 'x'], admits: ['id'] },
  {
    name: 'an exclude can take away what the default includes',
    spec: '!com\\.docker\\.compose\\.project$',
    keys: ['com.docker.compose.project', 'com.docker.compose.service', 'com.docker.compose.image', 'id'],
    admits: ['com.docker.compose.service', 'id'],
  },
  {
    name: 'an include can bring back what the default excludes',
    spec: '.* !secret',
    keys: ['maintainer', 'secret'],
    admits: ['maintainer'],
  },
];

for (const { name, spec, keys, admits } of SPECS) {
  test(`label filter ${spec}: ${name}`, () => assert.deepEqual(admitted(spec, ...keys), admits));
}

test('a key that no label text can carry never counts', () => {
  assert.deepEqual(LabelFilter.parse('.*').admit({ '': 'x', 'a=b': 'x', 'a b': 'x', ok: 'x' }), [
    'container:ok=x',
  ]);
});

test('a container cannot give itself a label of another source', () => {
  const forged = { 'weir:network': 'back', 'reserved:host': '', 'k8s:app': 'x' };
  const admitted = LabelFilter.parse('.*').admit(forged);
  assert.deepEqual(admitted, [
    'container:k8s:app=x',
    'container:reserved:host',
    'container:weir:network=back',
  ]);
  assert.deepEqual(new Set(admitted.map((label) => parseLabel(label).source)), new Set(['container']));
});

for (const spec of ['(', '!', 'id [', 'container:']) {
  test(`label filter ${spec} is refused`, () => {
    assert.throws(
      () => LabelFilter.parse(spec),
      (error) => error instanceof UserError && error.code === 'LABEL_FILTER_INVALID',
    );
  });
}
