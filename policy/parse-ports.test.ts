import assert from 'node:assert/strict';
import test from 'node:test';
import { parsePolicy } from './parse.ts';
import { refuses, rule } from './refusal.test-support.ts';

function ports(...specs: unknown[]): string {
  return rule({ toPorts: [{ ports: specs }] });
}

function icmp(...fields: unknown[]): string {
  return rule({ icmps: [{ fields }] });
}

refuses([
  { name: 'ports without a port', text: ports(), says: '.toPorts[0].ports: names no port' },
  { name: 'no port', text: ports({ protocol: 'TCP' }), says: '.ports[0]: has no port' },
  {
    name: 'hexadecimal port',
    text: ports({ port: '0x50' }),
    says: '"0x50" is no port; write a decimal number',
  },
  { name: 'octal port', text: ports({ port: '0120' }), says: '"0120" is no port' },
  {
    name: 'port beyond 65535',
    text: ports({ port: 65536 }),
    says: 'f:1:66: $[0].ingress[0].toPorts[0].ports[0].port: 65536 is no port',
  },
  { name: 'negative port', text: ports({ port: -1 }), says: '"-1" is no port' },
  { name: 'fraction of a port', text: ports({ port: 80.5 }), says: '"80.5" is no port' },
  {
    name: 'port of another type',
    text: ports({ port: true }),
    says: 'is a boolean; write a number or a text',
  },
  { name: 'unknown service', text: ports({ port: 'htpp' }), says: 'did you mean "http"?' },
  {
    name: 'protocol without ports',
    text: ports({ port: '0', protocol: 'ICMP' }),
    says: '"ICMP" has no ports',
  },
  { name: 'unknown protocol', text: ports({ port: 1, protocol: 'TPC' }), says: 'did you mean "TCP"?' },
  { name: 'later protocol', text: ports({ port: 0, protocol: 'VRRP' }), says: 'not supported yet' },
  { name: 'no type of message', text: rule({ icmps: [{ fields: [] }] }), says: '.fields: names no type' },
  { name: 'messages without fields', text: rule({ icmps: [{}] }), says: '.icmps[0]: names no type' },
  { name: 'message without a type', text: icmp({ family: 'IPv4' }), says: '.fields[0]: has no type' },
  {
    name: 'type beyond 255',
    text: icmp({ type: 256 }),
    says: '"256" is no ICMP type of IPv4; write a number',
  },
  { name: 'hexadecimal type', text: icmp({ type: '0x8' }), says: '"0x8" is no ICMP type' },
  { name: 'negative type', text: icmp({ type: -1 }), says: '"-1" is no ICMP type' },
  { name: 'type of an object', text: icmp({ type: 'constructor' }), says: 'is no ICMP type' },
  {
    name: 'type of the other family',
    text: icmp({ type: 'PacketTooBig' }),
    says: 'f:1:65: $[0].ingress[0].icmps[0].fields[0].type: "PacketTooBig" is no ICMP type of IPv4',
  },
  {
    name: 'type misspelt',
    text: icmp({ family: 'IPv6', type: 'EchoRequst' }),
    says: 'is no ICMP type of IPv6; write "EchoRequest"',
  },
  {
    name: 'family',
    text: icmp({ family: 'IPv5', type: 8 }),
    says: '"IPv5" is no family; did you mean "IPv4"?',
  },
  {
    name: 'ports and messages in one item',
    text: rule({ toPorts: [], icmps: [{ fields: [{ type: 8 }] }] }),
    says: '$[0].ingress[0].icmps: cannot go with toPorts; write two items, which are ORed',
  },
  { name: 'range backwards', text: ports({ port: 80, endPort: 79 }), says: '79 is below port 80' },
  { name: 'range of everything', text: ports({ port: 0, endPort: 79 }), says: 'cannot go with port 0' },
  { name: 'range from a name', text: ports({ port: 'http', endPort: 90 }), says: 'starts with a name' },
]);

test('messages are named by number or name in either family, and come out as numbers', () => {
  const text = icmp(
    { type: 8 },
    { type: '3', family: 'ipv4' },
    { TYPE: 'echorequest', Family: 'IPv6' },
    { type: 'EchoReply' },
    { type: 'ExtendedEchoReply', family: 'IPv6' },
  );
  assert.deepEqual(parsePolicy(text, 'f')[0]?.ingress, [
    {
      icmps: [
        {
          fields: [
            { family: 'IPv4', type: 8 },
            { family: 'IPv4', type: 3 },
            { family: 'IPv6', type: 128 },
            { family: 'IPv4', type: 0 },
            { family: 'IPv6', type: 161 },
          ],
        },
      ],
    },
  ]);
});
