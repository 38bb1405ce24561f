import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decisiveLines, VerifierError } from './verifier-error.ts';

const LOGS = [
  {
    name: 'a packet access without a check',
    log: `0: R1=ctx() R10=fp0
; return *(__u32*)p; @ r.c:5
0: (61) r1 = *(u32 *)(r1 +76)         ; R1=pkt(r=0)
1: (61) r0 = *(u32 *)(r1 +0)
invalid access to packet, off=0 size=4, R1(id=0,off=0,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    want: [
      'invalid access to packet, off=0 size=4, R1(id=0,off=0,r=0)',
      'R1 offset is outside of the packet',
    ],
  },
  {
    name: 'an old kernel, with register states of its own',
    log: `0: (bf) r6 = r1
1: R1=ctx(id=0,off=0,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0
R0_w=inv1 R10=fp0
from 1 to 5: R0=inv0
back-edge from insn 9 to 2
verification time 90 usec
stack depth 0
processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0`,
    want: ['back-edge from insn 9 to 2'],
  },
  {
    name: 'nothing but instructions',
    log: '0: (95) exit\n1: (95) exit\n',
    want: ['0: (95) exit', '1: (95) exit'],
  },
  { name: 'an empty log', log: '', want: [] },
];

for (const { name, log, want } of LOGS) {
  test(`the decisive lines of ${name}`, () => assert.deepEqual(decisiveLines(log), want));
}

test('the error has one line for a person and keeps the whole log', () => {
  const log = LOGS[0]?.log ?? '';
  const error = new VerifierError('load program container', -13, log);
  assert.equal(error.code, 'PROGRAM_REFUSED');
  assert.equal(error.errno, 'EACCES');
  assert.equal(error.log, log);
  assert.match(
    error.message,
    /^load program container: EACCES \(invalid access to packet[^\n]*outside of the packet\)$/,
  );
});
