import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePortRequests } from './port-request.ts';

/** As dockerd 20.10 and 28 send it. */
function asked(...ports: object[]): Record<string, unknown> {
  return { Options: { 'com.docker.network.portmap': ports } };
}

const web = { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 };

test('a port of the container under one of the host', () => {
  assert.deepEqual(parsePortRequests(asked(web)), [
    { protocol: 'tcp', port: 80, hostAddress: '', hostPort: 8080, hostPortEnd: 8080 },
  ]);
});

test('UDP on one address, IPv6 in its canonical form, and a range', () => {
  const dns = { ...web, Proto: 17, Port: 53, HostIP: 'FD00:0::1', HostPort: 5300, HostPortEnd: 5310 };
  assert.deepEqual(parsePortRequests(asked(dns)), [
    { protocol: 'udp', port: 53, hostAddress: 'fd00::1', hostPort: 5300, hostPortEnd: 5310 },
  ]);
});

test('whatever the order they come in: chosen ports first, then any port, by the port of the container', () => {
  const any = (Port: number): object => ({ ...web, Port, HostPort: 0, HostPortEnd: 0 });
  const requests = parsePortRequests(
    asked(any(90), { ...web, HostPort: 9000, HostPortEnd: 9000 }, any(82), web),
  );
  assert.deepEqual(
    requests.map(({ hostPort, port }) => [hostPort, port]),
    [
      [8080, 80],
      [9000, 80],
      [0, 82],
      [0, 90],
    ],
  );
});

test('nothing asked is nothing', () => {
  assert.deepEqual(parsePortRequests({}), []);
  assert.deepEqual(parsePortRequests({ Options: {} }), []);
  assert.deepEqual(parsePortRequests(asked()), []);
});

for (const [name, item, code] of [
  ['SCTP', { ...web, Proto: 132 }, 'PORT_PROTOCOL'],
  ['no protocol', { ...web, Proto: undefined }, 'PORT_PROTOCOL'],
  ['no port of the container', { ...web, Port: 0 }, 'BAD_REQUEST'],
  ['a port beyond all ports', { ...web, HostPort: 65536 }, 'BAD_REQUEST'],
  ['half a port', { ...web, HostPort: 80.5 }, 'BAD_REQUEST'],
  ['a port as text', { ...web, HostPort: '80' }, 'BAD_REQUEST'],
  ['a name for an address', { ...web, HostIP: 'eth0' }, 'BAD_REQUEST'],
  ['a number for an address', { ...web, HostIP: 7 }, 'BAD_REQUEST'],
  ['no object', 80, 'BAD_REQUEST'],
] as const) {
  test(`a published port with ${name} is refused`, () => {
    assert.throws(() => parsePortRequests(asked(item as object)), { code });
  });
}

test('a map of ports that is no list is refused', () => {
  assert.throws(() => parsePortRequests({ Options: { 'com.docker.network.portmap': {} } }), {
    code: 'BAD_REQUEST',
  });
});
