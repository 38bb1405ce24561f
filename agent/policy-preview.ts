/** What a policy would change if it were imported: for the containers of this host and for their live connections. */
import { setImmediate } from 'node:timers/promises';
import type { api } from '../base/index.ts';
import type { Connection } from '../datapath/index.ts';
import { isCidrIdentity } from '../identity/index.ts';
import { hasPorts, protocolName } from '../observe/index.ts';
import { type Peer, PolicyComparison, type Rule, type VerdictChange, isOutside } from '../policy/index.ts';
import { Census } from './census.ts';
import type { Parts } from './parts.ts';
import type { PolicyPlan } from './policy-repository.ts';

/** Nobody reads more; a first default deny on a large host has a million. */
const MOST_LISTED = 1000;
const LAST_PORT = 65_535;
/** Connections between two turns of others. */
const SLICE = 256;
/** The message that opens a connection of ICMP; in the table of connections the port is its id. */
const ECHO_REQUEST = new Map([
  [1, 8],
  [58, 128],
]);

/** Reads the connections of the moment; changes nothing, and lets others have their turn. */
export async function previewOf(parts: Parts, plan: PolicyPlan): Promise<api.PolicyPreview> {
  const census = new Census(parts);
  const comparison = new PolicyComparison(plan, {
    peers: census.peers,
    context: parts.datapath.enforcement.context,
    published: census.published,
  });
  const changes = new Shortlist<api.VerdictChange>();
  for (const batch of comparison.changes()) {
    for (const change of batch) if (canMeet(census, change)) changes.add(() => viewOf(change, census));
    await setImmediate();
  }
  const connections = new Shortlist<api.ConnectionChange>();
  for (const [at, connection] of (await parts.datapath.conntrack.list()).entries()) {
    if (at % SLICE === 0) await setImmediate();
    const verdicts = comparison.ofConnection(endsOf(connection, census));
    if (verdicts.before !== verdicts.after)
      connections.add(() => connectionView(connection, census, verdicts.after));
  }
  return {
    revision: plan.revision,
    count: plan.count,
    ...differenceOf(plan),
    changes: changes.listed,
    moreChanges: changes.more,
    connections: connections.listed,
    moreConnections: connections.more,
  };
}

/** The first of many, and how many more there are. */
class Shortlist<T> {
  readonly listed: T[] = [];
  more = 0;

  add(make: () => T): void {
    if (this.listed.length < MOST_LISTED) this.listed.push(make());
    else this.more++;
  }
}

/** How many rules would come and how many would go; one that stays is neither. */
function differenceOf({ before, after }: PolicyPlan): { added: number; removed: number } {
  const textsOf = (rules: readonly Rule[]): Set<string> => new Set(rules.map((rule) => JSON.stringify(rule)));
  const [old, next] = [textsOf(before), textsOf(after)];
  const missingFrom = (others: Set<string>, rules: Set<string>): number =>
    [...rules].filter((rule) => !others.has(rule)).length;
  return { added: missingFrom(old, next), removed: missingFrom(next, old) };
}

/** Between internal networks and the outside nothing passes, whatever policy says. */
function canMeet(census: Census, { source, destination }: VerdictChange): boolean {
  const isShut = (a: Peer, b: Peer): boolean => census.isInternal(a.id) && isOutside(b.id);
  return !isShut(source, destination) && !isShut(destination, source);
}

function viewOf(change: VerdictChange, census: Census): api.VerdictChange {
  const { protocol, except, first, last, after } = change;
  const isWhole = first === 0 && last === LAST_PORT;
  return {
    source: peerView(change.source, census),
    destination: peerView(change.destination, census),
    protocol: nameOf(protocol),
    except: except.map(nameOf),
    ports: isWhole ? 'any' : first === last ? String(first) : `${first}-${last}`,
    after,
  };
}

function nameOf(protocol: number): string {
  return protocol === 0 ? 'any' : protocolName(protocol);
}

function peerView({ id, labels }: Peer, census: Census): api.PreviewPeer {
  return {
    identity: isCidrIdentity(id) ? 0 : id,
    labels: [...labels],
    containers: census.containersOf(id),
  };
}

function endsOf(connection: Connection, census: Census): Parameters<PolicyComparison['ofConnection']>[0] {
  const { source, destination, protocol, destinationPort, message, published } = connection;
  return {
    source: census.at(source, connection.sourceIdentity) ?? source,
    destination: census.at(destination, connection.destinationIdentity) ?? destination,
    protocol,
    port: message || (ECHO_REQUEST.get(protocol) ?? destinationPort),
    published,
  };
}

function connectionView(connection: Connection, census: Census, willPass: boolean): api.ConnectionChange {
  const { protocol, source, sourcePort, destination, destinationPort } = connection;
  const portOf = (port: number): number | undefined => (hasPorts(protocol) ? port : undefined);
  const word = (isAllowed: boolean): api.ChangedVerdict => (isAllowed ? 'allowed' : 'denied');
  return {
    protocol: protocolName(protocol),
    source: census.sideOf(source, connection.sourceIdentity, portOf(sourcePort)),
    destination: census.sideOf(destination, connection.destinationIdentity, portOf(destinationPort)),
    before: word(!willPass),
    after: word(willPass),
  };
}
