import { CidrIdentities, RESERVED, isEndpointIdentity } from '../identity/index.ts';
import { type CompiledPolicy, compile, tellApart } from './compile.ts';
import { decide } from './decide.ts';
import { type Direction, PEER_ANY, type PolicyEntry } from './entry.ts';
import { type Peer, type PolicyContext, classOf, sameNetwork } from './isolation.ts';
import { resolve } from './resolve.ts';
import type { Rule } from './rule.ts';

/** New connections from one to the other on these ports that one policy allows and the other does not. */
export interface VerdictChange {
  source: Peer;
  destination: Peer;
  /** IANA number; 0 is every protocol but `except`, which have changes of their own or none. */
  protocol: number;
  except: number[];
  /** Ports, or ICMP types. */
  first: number;
  last: number;
  after: 'allowed' | 'denied';
}

/** A number that stands for all protocols without entries of their own. */
const OTHER_PROTOCOL = 255;
const LAST_PORT = 65_535;

/**
 * What would change between `peers` (endpoints and reserved identities) and the addresses outside that either policy tells
 * apart, if `after` took the place of `before`. Addresses come as ranges, less the closer ranges within them.
 */
export function verdictChanges(
  before: readonly Rule[],
  after: readonly Rule[],
  peers: readonly Peer[],
  context: PolicyContext,
): VerdictChange[] {
  const [old, next] = [compile(before), compile(after)];
  const ranges = new CidrIdentities().follow([...new Set([...old.cidrs, ...next.cidrs])]);
  const all = [...peers, ...ranges];
  const was = new Book(tellApart(old, next.cidrs), all, context);
  const will = new Book(tellApart(next, old.cidrs), all, context);
  const changes: VerdictChange[] = [];
  for (const source of all) {
    for (const destination of all) {
      if (hasPolicy(source) || hasPolicy(destination))
        changes.push(...compare(source, destination, was, will));
    }
  }
  return changes;
}

function hasPolicy({ id }: Peer): boolean {
  return id === RESERVED.init || isEndpointIdentity(id);
}

/** The entries of everybody under one policy, by subject, direction and peer. */
class Book {
  readonly #entries = new Map<string, PolicyEntry[]>();
  readonly #context: PolicyContext;

  constructor(policy: CompiledPolicy, peers: readonly Peer[], context: PolicyContext) {
    this.#context = context;
    for (const subject of peers.filter(hasPolicy)) {
      for (const entry of resolve(policy, subject, peers, context).entries) {
        const key = `${subject.id} ${entry.direction} ${entry.peer}`;
        const list = this.#entries.get(key);
        if (list === undefined) this.#entries.set(key, [entry]);
        else list.push(entry);
      }
    }
  }

  sideOf(direction: Direction, subject: Peer, peer: Peer): BookSide {
    const near = sameNetwork(subject, peer, this.#context);
    const keys = new Set([peer.id, classOf(peer, near), PEER_ANY]);
    const entries = [...keys].flatMap((key) => this.#entries.get(`${subject.id} ${direction} ${key}`) ?? []);
    return { direction, subject, peer, near, entries };
  }

  sidesOf(source: Peer, destination: Peer): BookSide[] {
    return [this.sideOf('egress', source, destination), this.sideOf('ingress', destination, source)];
  }
}

interface BookSide {
  direction: Direction;
  subject: Peer;
  peer: Peer;
  near: boolean;
  entries: PolicyEntry[];
}

function isAllowed(sides: BookSide[], protocol: number, port: number): boolean {
  return sides.every(({ direction, subject, peer, near, entries }) => {
    if (!hasPolicy(subject)) return true;
    return decide(entries, { direction, peer, sameNetwork: near, protocol, port }).verdict === 'allow';
  });
}

function compare(source: Peer, destination: Peer, was: Book, will: Book): VerdictChange[] {
  const [old, next] = [was.sidesOf(source, destination), will.sidesOf(source, destination)];
  const changes: VerdictChange[] = [];
  for (const piece of pieces([...old, ...next].flatMap(({ entries }) => entries))) {
    const asked = piece.protocol === 0 ? OTHER_PROTOCOL : piece.protocol;
    const isOpen = isAllowed(next, asked, piece.first);
    if (isAllowed(old, asked, piece.first) === isOpen) continue;
    const after = isOpen ? 'allowed' : 'denied';
    const previous = changes.at(-1);
    if (previous?.after === after && continues(previous, piece)) previous.last = piece.last;
    else changes.push({ source, destination, ...piece, after });
  }
  return changes;
}

function continues(previous: Piece, next: Piece): boolean {
  return previous.protocol === next.protocol && previous.last === next.first - 1;
}

interface Piece {
  protocol: number;
  except: number[];
  first: number;
  last: number;
}

/** All ports of all protocols, cut so that no entry says two things within a piece. */
function pieces(entries: readonly PolicyEntry[]): Piece[] {
  const starts = new Map<number, Set<number>>();
  for (const { protocol, port, portBits } of entries) {
    const cuts = starts.get(protocol) ?? new Set([0]);
    starts.set(protocol, cuts.add(port).add(port + 2 ** (16 - portBits)));
  }
  const named = [...starts.keys()].filter((protocol) => protocol !== 0);
  starts.set(0, new Set([0]));
  return [...starts].flatMap(([protocol, cuts]) => {
    const except = protocol === 0 ? named : [];
    const sorted = [...cuts].filter((cut) => cut <= LAST_PORT).toSorted((a, b) => a - b);
    return sorted.map((first, at) => ({
      protocol,
      except,
      first,
      last: (sorted[at + 1] ?? LAST_PORT + 1) - 1,
    }));
  });
}
