import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileJsonPath } from './jsonpath.ts';

const endpoints = [
  { id: 4, containerName: 'app3', state: 'ready', identity: { id: 261, labels: ['a', 'b'] }, 'x.y': 1 },
  { id: 12, containerName: 'app1', state: 'creating', identity: { id: 264, labels: [] }, 'x.y': 2 },
];

for (const { template, value = endpoints, want } of [
  { template: '{[0].containerName}', want: 'app3' },
  { template: '{[*].id}', want: '4 12' },
  { template: '{.[*].id}', want: '4 12' },
  { template: '{$[1].identity.id}', want: '264' },
  { template: '{[-1].id}', want: '12' },
  { template: '[0].id', want: '4' },
  { template: '{..labels}', want: '["a","b"] []' },
  { template: '{[0].identity}', want: '{"id":261,"labels":["a","b"]}' },
  { template: '{[?(@.state=="ready")].id}', want: '4' },
  { template: `{[?(@.containerName=='app1')].id}`, want: '12' },
  { template: '{[0].x\\.y}', want: '1' },
  { template: `{[0]['x.y']}`, want: '1' },
  { template: '{[0].nothing.at.all}', want: '' },
  { template: '{range [*]}{.id}={.containerName}{"\\n"}{end}', want: '4=app3\n12=app1\n' },
  {
    template: '{range .[*]}{.identity.id}:{range .identity.labels[*]}<{@}>{end} {end}',
    want: '261:<a><b> 264: ',
  },
  { template: `ids: {[*].id}{'\\t'}{"{}"}`, want: 'ids: 4 12\t{}' },
  { template: '{}', value: { a: 1 }, want: '{"a":1}' },
  { template: '{.}', value: { a: 1 }, want: '{"a":1}' },
  { template: '{.revision}', value: { revision: 0 }, want: '0' },
  { template: '{.a}', value: { a: null }, want: 'null' },
]) {
  test(`jsonpath ${template}`, async () => assert.equal(await compileJsonPath(template)(value), want));
}

for (const template of ['{.a', '.a}', '{range [*]}{.id}', '{end}', '{"a}']) {
  test(`a broken template is refused before anything is asked: ${template}`, () => {
    assert.throws(() => compileJsonPath(template), { exitCode: 2 });
  });
}

test('a path that cannot be is refused in one line', async () => {
  await assert.rejects(compileJsonPath('{[?(@.id==)]}')(endpoints), (error: Error) =>
    /^jsonpath .+$/.test(error.message),
  );
});

test('a template cannot run code', async () => {
  const attempt = compileJsonPath('{[?(@.constructor.constructor("globalThis.broken=1")())]}');
  await attempt(endpoints).catch(() => undefined);
  assert.equal('broken' in globalThis, false);
});
