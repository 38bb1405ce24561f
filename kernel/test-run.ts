/** BPF_PROG_TEST_RUN: one packet through a loaded program, no interface needed. What is redirected goes nowhere. */
import { expect } from './failure.ts';
import { libbpf, writePointer } from './libbpf.ts';

export interface TestRun {
  /** A frame from its Ethernet header on, at least 14 bytes. */
  data: Buffer;
  /** Fields of the packet's __sk_buff; both interfaces must exist. */
  context?: { mark?: number; ifindex?: number; ingressIfindex?: number; segmentSize?: number };
  /** How often to run, for timing; the packet keeps what each run did to it. */
  repeat?: number;
}

export interface TestRunResult {
  /** The program's verdict. */
  retval: number;
  /** The frame as the program left it. */
  data: Buffer;
  mark: number;
  /** Mean of the runs. */
  durationNs: number;
}

/** struct bpf_test_run_opts */
const AT = {
  dataIn: 8,
  dataOut: 16,
  dataInSize: 24,
  dataOutSize: 28,
  contextIn: 32,
  contextOut: 40,
  contextInSize: 48,
  contextOutSize: 52,
  retval: 56,
  repeat: 60,
  duration: 64,
} as const;
const OPTIONS_SIZE = 80;
/** struct __sk_buff; the kernel refuses bytes set in fields that it does not take. */
const SKB = { size: 192, mark: 8, ingressIfindex: 36, ifindex: 40, segments: 164, segmentSize: 176 } as const;
/** Encapsulation may grow the frame. */
const GROWTH = 512;

/** Runs a tc program. Throws KernelError EINVAL for frames that cannot be a packet. */
export function testRun(programFd: number, { data, context = {}, repeat = 1 }: TestRun): TestRunResult {
  const out = Buffer.alloc(data.length + GROWTH);
  const skb = Buffer.alloc(SKB.size);
  skb.writeUInt32LE(context.mark ?? 0, SKB.mark);
  skb.writeUInt32LE(context.ingressIfindex ?? 0, SKB.ingressIfindex);
  skb.writeUInt32LE(context.ifindex ?? 0, SKB.ifindex);
  skb.writeUInt32LE(context.segmentSize ?? 0, SKB.segmentSize);
  skb.writeUInt32LE(context.segmentSize ? Math.ceil(data.length / context.segmentSize) : 0, SKB.segments);
  const skbOut = Buffer.alloc(SKB.size);
  const options = Buffer.alloc(OPTIONS_SIZE);
  options.writeBigUInt64LE(BigInt(OPTIONS_SIZE));
  writePointer(options, data, AT.dataIn);
  writePointer(options, out, AT.dataOut);
  options.writeUInt32LE(data.length, AT.dataInSize);
  options.writeUInt32LE(out.length, AT.dataOutSize);
  writePointer(options, skb, AT.contextIn);
  writePointer(options, skbOut, AT.contextOut);
  options.writeUInt32LE(SKB.size, AT.contextInSize);
  options.writeUInt32LE(SKB.size, AT.contextOutSize);
  options.writeInt32LE(repeat, AT.repeat);
  expect(libbpf().bpf_prog_test_run_opts(programFd, options), `test run of a ${data.length} byte frame`);
  return {
    retval: options.readUInt32LE(AT.retval),
    data: out.subarray(0, options.readUInt32LE(AT.dataOutSize)),
    mark: skbOut.readUInt32LE(SKB.mark),
    durationNs: options.readUInt32LE(AT.duration),
  };
}
