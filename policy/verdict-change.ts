import { type Family, familyOf, parseCidr, prefixAround } from '../base/index.ts';
import { CidrIdentities, type CidrIdentity, RESERVED, isEndpointIdentity } from '../identity/index.ts';
import { type CompiledPolicy, compile, tellApart } from './compile.ts';
import { decide } from './decide.ts';
import { type Direction, PEER_ANY, type PolicyEntry, type PortSet } from './entry.ts';
import { type Peer, type PolicyContext, classOf, isOutside, spacesOf } from './isolation.ts';
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
 * Two policies side by side, for `peers` (endpoints and reserved identities) and the addresses outside that either tells
 * apart. Neither is in force because of it.
 */
export class PolicyComparison {
  readonly #ranges: Ranges;
  readonly #peers: readonly Peer[];
  readonly #published: ReadonlyMap<number, readonly Port[]>;
  readonly #was: Book;
  readonly #will: Book;
  /** Directions of subjects in which the two do not say the same, and of these the places in the books. */
  readonly #touched: ReadonlySet<string>;
  readonly #differing: ReadonlySet<string>;

  constructor(policies: { before: readonly Rule[]; after: readonly Rule[] }, at: Scene) {
    const [old, next] = [compile(policies.before), compile(policies.after)];
    const ranges = new CidrIdentities().follow([...new Set([...old.cidrs, ...next.cidrs])]);
    this.#ranges = new Ranges(ranges);
    this.#peers = [...at.peers, ...ranges];
    this.#published = at.published ?? new Map();
    this.#was = new Book(tellApart(old, next.cidrs), this.#peers, at.context);
    this.#will = new Book(tellApart(next, old.cidrs), this.#peers, at.context);
    this.#differing = this.#was.differing(this.#will);
    this.#touched = new Set([...this.#differing].map((key) => key.slice(0, key.lastIndexOf(' '))));
  }

  /** What would change, one source after the other. Addresses come as ranges, less the closer ranges within them. */
  *changes(): Generator<VerdictChange[], void> {
    for (const source of this.#peers) {
      yield this.#peers.flatMap((destination) => this.#compare(source, destination));
    }
  }

  /** Whether one connection may be, before and after; an end that is no peer is the range it lies in. */
  ofConnection({ source, destination, ...flow }: LiveConnection): { before: boolean; after: boolean } {
    const [from, to] = [this.#peerOf(source), this.#peerOf(destination)];
    const isAllowedBy = (book: Book): boolean => isAllowed(book.sidesOf(from, to), flow);
    return { before: isAllowedBy(this.#was), after: isAllowedBy(this.#will) };
  }

  #peerOf(end: Peer | string): Peer {
    return typeof end === 'string' ? (this.#ranges.around(end) ?? WORLD) : end;
  }

  #compare(source: Peer, destination: Peer): VerdictChange[] {
    const directions = [`${source.id} egress`, `${destination.id} ingress`];
    if (!directions.some((direction) => this.#touched.has(direction))) return [];
    const [old, next] = [this.#was.sidesOf(source, destination), this.#will.sidesOf(source, destination)];
    if (!old.some(({ keys }) => keys.some((key) => this.#differing.has(key)))) return [];
    const published = isOutside(source.id) ? (this.#published.get(destination.id) ?? []) : [];
    return compare(old, next, published).map((change) => ({ source, destination, ...change }));
  }
}

/** Who is there, and on which networks. */
export interface Scene {
  peers: readonly Peer[];
  context: PolicyContext;
  /** By identity: ports that whoever is outside reaches by ports of the host. */
  published?: ReadonlyMap<number, readonly Port[]>;
}

interface Port {
  /** IANA number. */
  protocol: number;
  port: number;
}

/** A connection that there is; an end outside is its address. */
export interface LiveConnection {
  source: Peer | string;
  destination: Peer | string;
  /** IANA number, and the destination port or ICMP type. */
  protocol: number;
  port: number;
  /** It came in by a published port. */
  published?: boolean;
}

const WORLD: Peer = { id: RESERVED.world, labels: ['reserved:world'] };

/** Ranges by prefix: an address is looked for once per length of prefix, however many ranges there are. */
class Ranges {
  readonly #byPrefix: ReadonlyMap<string, CidrIdentity>;
  /** The longest first. */
  readonly #lengths: readonly { family: Family; length: number }[];

  constructor(ranges: readonly CidrIdentity[]) {
    const prefixes = ranges.map((range) => ({ range, ...parseCidr(range.cidr) }));
    this.#byPrefix = new Map(prefixes.map(({ text, range }) => [text, range]));
    const kinds = new Map(prefixes.map(({ family, length }) => [`${family}/${length}`, { family, length }]));
    this.#lengths = [...kinds.values()].toSorted((a, b) => b.length - a.length);
  }

  /** The closest range that an address lies in. */
  around(address: string): CidrIdentity | undefined {
    const own = familyOf(address);
    for (const { family, length } of this.#lengths) {
      const range = family === own ? this.#byPrefix.get(prefixAround(address, length).text) : undefined;
      if (range !== undefined) return range;
    }
    return undefined;
  }
}

function hasPolicy({ id }: Peer): boolean {
  return id === RESERVED.init || isEndpointIdentity(id);
}

/** The entries of everybody under one policy, by subject, direction and peer. */
class Book {
  readonly #entries = new Map<string, PolicyEntry[]>();
  readonly #context: PolicyContext;
  readonly #spacesOf = new Map<number, number[]>();

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

  /** Where the entries of this book and the other do not say the same, whatever rule they are of. */
  differing(other: Book): Set<string> {
    const keys = [...new Set([...this.#entries.keys(), ...other.#entries.keys()])];
    return new Set(keys.filter((key) => this.#saying(key) !== other.#saying(key)));
  }

  #saying(key: string): string {
    const entries = this.#entries.get(key) ?? [];
    const texts = entries.map(
      (entry) => `${entry.protocol} ${entry.port} ${entry.portBits} ${entry.verdict}`,
    );
    return texts.toSorted().join();
  }

  sideOf(direction: Direction, subject: Peer, peer: Peer): BookSide {
    const near = this.#isNear(subject, peer);
    const numbers = [...new Set([peer.id, classOf(peer, near), PEER_ANY])];
    const keys = numbers.map((number) => `${subject.id} ${direction} ${number}`);
    const entries = keys.flatMap((key) => this.#entries.get(key) ?? []);
    return { direction, subject, peer, near, keys, entries };
  }

  /** As `sameNetwork`, with what networks mean looked up once. */
  #isNear(subject: Peer, peer: Peer): boolean {
    const others = this.#spaces(peer);
    return this.#spaces(subject).some((space) => others.includes(space));
  }

  #spaces(peer: Peer): number[] {
    let spaces = this.#spacesOf.get(peer.id);
    if (spaces === undefined) this.#spacesOf.set(peer.id, (spaces = spacesOf(peer, this.#context)));
    return spaces;
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
  /** Where its entries are in the book. */
  keys: string[];
  entries: PolicyEntry[];
}

function isAllowed(
  sides: BookSide[],
  flow: Pick<LiveConnection, 'protocol' | 'port' | 'published'>,
): boolean {
  return sides.every(({ direction, subject, peer, near, entries }) => {
    if (!hasPolicy(subject)) return true;
    return decide(entries, { direction, peer, sameNetwork: near, ...flow }).verdict === 'allow';
  });
}

type Change = Omit<VerdictChange, 'source' | 'destination'>;

function compare(old: BookSide[], next: BookSide[], published: readonly Port[]): Change[] {
  const changes: Change[] = [];
  const cuts = published.map((port) => ({ ...port, portBits: 16 }));
  for (const piece of pieces([...[...old, ...next].flatMap(({ entries }) => entries), ...cuts])) {
    const [protocol, port] = [piece.protocol === 0 ? OTHER_PROTOCOL : piece.protocol, piece.first];
    const isPublished = published.some((each) => each.protocol === protocol && each.port === port);
    const flow = { protocol, port, published: isPublished };
    const isOpen = isAllowed(next, flow);
    if (isAllowed(old, flow) === isOpen) continue;
    const after = isOpen ? 'allowed' : 'denied';
    const previous = changes.at(-1);
    if (previous?.after === after && continues(previous, piece)) previous.last = piece.last;
    else changes.push({ ...piece, after });
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
function pieces(entries: readonly PortSet[]): Piece[] {
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
