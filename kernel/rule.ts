/** Rules of the routing policy database in rtnetlink's form (struct fib_rule_hdr and FRA_*). Pure. */
import type { Family } from '../base/index.ts';
import { AF, familyFrom, splitPrefix } from './interface-address.ts';
import { address, decodeAttributes, readAddress, readText, readU32, text, u32 } from './netlink-attribute.ts';

export const RTM_RULE = { create: 32, delete: 33, get: 34 } as const;

const FRA = { to: 1, from: 2, input: 3, priority: 6, mark: 10, table: 15, mask: 16, output: 17 } as const;
const TO_TABLE = 1;

/** Packets that match go to a table; the lowest priority is asked first. */
export interface Rule {
  family: Family;
  priority: number;
  table: number;
  /** CIDR of the source. */
  from?: string;
  /** CIDR of the destination. */
  to?: string;
  mark?: number;
  mask?: number;
  /** Name of the input interface. */
  input?: string;
  /** Name of the output interface. */
  output?: string;
}

/** `family` is needed where neither `from` nor `to` tells it; 4 then. */
export type NewRule = Omit<Rule, 'family'> & { family?: Family };

export function encodeRule(rule: NewRule): Buffer {
  const from = rule.from === undefined ? undefined : splitPrefix(rule.from);
  const to = rule.to === undefined ? undefined : splitPrefix(rule.to);
  const family = rule.family ?? from?.family ?? to?.family ?? 4;
  const head = Buffer.alloc(12); // family, to length, from length, tos, table, two reserved, action, flags
  head.set([AF[family], to?.length ?? 0, from?.length ?? 0, 0, 0, 0, 0, TO_TABLE]);
  return Buffer.concat([
    head,
    u32(FRA.priority, rule.priority),
    u32(FRA.table, rule.table),
    ...(to === undefined ? [] : [address(FRA.to, to.address)]),
    ...(from === undefined ? [] : [address(FRA.from, from.address)]),
    ...(rule.mark === undefined ? [] : [u32(FRA.mark, rule.mark)]),
    ...(rule.mask === undefined ? [] : [u32(FRA.mask, rule.mask)]),
    ...(rule.input === undefined ? [] : [text(FRA.input, rule.input)]),
    ...(rule.output === undefined ? [] : [text(FRA.output, rule.output)]),
  ]);
}

export function encodeRuleFilter(family: Family): Buffer {
  const head = Buffer.alloc(12);
  head[0] = AF[family];
  return head;
}

function prefix(base: string | undefined, length: number): string | undefined {
  return base === undefined ? undefined : `${base}/${length}`;
}

/** Undefined for other families and for rules that do not lead to a table. */
export function decodeRule(payload: Buffer): Rule | undefined {
  if (payload.length < 12 || payload[7] !== TO_TABLE) return undefined;
  const [af = 0, toLength = 0, fromLength = 0, , table = 0] = payload;
  const family = familyFrom(af);
  if (family === undefined) return undefined;
  const found = decodeAttributes(payload.subarray(12));
  const optional = {
    from: prefix(readAddress(found, FRA.from), fromLength),
    to: prefix(readAddress(found, FRA.to), toLength),
    mark: readU32(found, FRA.mark),
    mask: readU32(found, FRA.mask),
    input: readText(found, FRA.input),
    output: readText(found, FRA.output),
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  const priority = readU32(found, FRA.priority) ?? 0;
  return { family, priority, table: readU32(found, FRA.table) ?? table, ...given };
}
