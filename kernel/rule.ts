/** Rules of the routing policy database in rtnetlink's form (struct fib_rule_hdr and FRA_*). Pure. */
import type { Family } from '../base/index.ts';
import { AF, familyFrom, splitPrefix } from './interface-address.ts';
import {
  address,
  decodeAttributes,
  given,
  readAddress,
  readText,
  readU32,
  text,
  u32,
  whole,
} from './netlink-attribute.ts';

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
  const from = given(rule.from, (value) => address(FRA.from, splitPrefix(value).address));
  const to = given(rule.to, (value) => address(FRA.to, splitPrefix(value).address));
  return Buffer.concat([
    header(rule),
    u32(FRA.priority, rule.priority),
    u32(FRA.table, rule.table),
    to,
    from,
    given(rule.mark, (value) => u32(FRA.mark, value)),
    given(rule.mask, (value) => u32(FRA.mask, value)),
    given(rule.input, (value) => text(FRA.input, value)),
    given(rule.output, (value) => text(FRA.output, value)),
  ]);
}

function header({ family, from, to }: NewRule): Buffer {
  const source = from === undefined ? undefined : splitPrefix(from);
  const destination = to === undefined ? undefined : splitPrefix(to);
  const af = AF[family ?? source?.family ?? destination?.family ?? 4];
  // family, to length, from length, tos, table, two reserved, action, flags
  return Buffer.from([af, destination?.length ?? 0, source?.length ?? 0, 0, 0, 0, 0, TO_TABLE, 0, 0, 0, 0]);
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
  const optional = whole({
    from: prefix(readAddress(found, FRA.from), fromLength),
    to: prefix(readAddress(found, FRA.to), toLength),
    mark: readU32(found, FRA.mark),
    mask: readU32(found, FRA.mask),
    input: readText(found, FRA.input),
    output: readText(found, FRA.output),
  });
  const priority = readU32(found, FRA.priority) ?? 0;
  return { family, priority, table: readU32(found, FRA.table) ?? table, ...optional };
}
