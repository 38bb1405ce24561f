import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { text } from './netlink-attribute.ts';
import {
  decodeAcknowledgement,
  decodeMessages,
  encodeMessage,
  isInterrupted,
  NLMSG,
} from './netlink-message.ts';

const anyMessage = fc
  .record({
    type: fc.integer({ min: 0, max: 0xffff }),
    flags: fc.integer({ min: 0, max: 0xffff }),
    sequence: fc.integer({ min: 0, max: 0xffffffff }),
    payload: fc.uint8Array({ maxLength: 90 }),
  })
  .map((message) => ({ ...message, payload: Buffer.from(message.payload) }));

test('the messages of a datagram survive encoding', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 8 }), (messages) => {
      assert.deepEqual([...decodeMessages(Buffer.concat(messages.map(encodeMessage)))], messages);
    }),
  );
});

test('any bytes decode without an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
      for (const message of decodeMessages(Buffer.from(garbage))) decodeAcknowledgement(message);
    }),
  );
});

function acknowledgement(
  code: number,
  flags: number,
  rest: Buffer,
): Parameters<typeof decodeAcknowledgement>[0] {
  const head = Buffer.alloc(4);
  head.writeInt32LE(code);
  return { type: NLMSG.error, flags, sequence: 1, payload: Buffer.concat([head, rest]) };
}

const request = encodeMessage({ type: 16, flags: 5, sequence: 1, payload: Buffer.alloc(22, 0xee) });

const ACKS = [
  { name: 'success', message: acknowledgement(0, 0x100, request.subarray(0, 16)), want: { code: 0 } },
  { name: 'a refusal without a sentence', message: acknowledgement(-19, 0, request), want: { code: -19 } },
  {
    name: 'a refusal that quotes the whole request before its sentence',
    message: acknowledgement(-22, 0x200, Buffer.concat([request, text(1, 'mtu less than device minimum')])),
    want: { code: -22, text: 'mtu less than device minimum' },
  },
  {
    name: 'a refusal that quotes only the header',
    message: acknowledgement(-17, 0x300, Buffer.concat([request.subarray(0, 16), text(1, 'exists')])),
    want: { code: -17, text: 'exists' },
  },
  {
    name: 'the end of a dump, which quotes nothing',
    message: { ...acknowledgement(-2, 0x200, text(1, 'table does not exist')), type: NLMSG.done },
    want: { code: -2, text: 'table does not exist' },
  },
];

for (const { name, message, want } of ACKS) {
  test(`acknowledgement: ${name}`, () => assert.deepEqual(decodeAcknowledgement(message), want));
}

test('an interrupted dump says so', () => {
  const message = { type: 16, flags: 0x12, sequence: 1, payload: Buffer.alloc(0) };
  assert.equal(isInterrupted(message), true);
  assert.equal(isInterrupted({ ...message, flags: 2 }), false);
});
