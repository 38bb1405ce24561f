/** weir policy import --dry-run: what would change, before it does. */
import type { api } from '../base/index.ts';
import { table } from './table.ts';

/** Containers named one by one; of more there is a number. */
const MOST_NAMES = 3;

const rules = (count: number): string => `${count} ${count === 1 ? 'rule' : 'rules'}`;

/** Containers by their names; the host, the world and addresses by what they are. */
function nameOf({ containers, labels }: api.PreviewPeer): string {
  if (containers.length === 0) return labels.map((label) => label.replace(/^(reserved|cidr):/, '')).join(' ');
  const more = containers.length - MOST_NAMES;
  const named = containers.slice(0, MOST_NAMES).join(', ');
  return more > 0 ? `${named} and ${more} more` : named;
}

function portsOf({ protocol, ports, except }: api.VerdictChange): string {
  const isAll = protocol === 'any';
  const what = ports === 'any' ? (isAll ? 'everything' : `all ${protocol}`) : `${ports}/${protocol}`;
  return except.length === 0 ? what : `${what} but ${except.join(', ')}`;
}

function endOf({ ip, port, containerName }: api.FlowPeer): string {
  const address = ip.includes(':') && port !== undefined ? `[${ip}]` : ip;
  const place = port === undefined ? address : `${address}:${port}`;
  return containerName === undefined ? place : `${place} (${containerName})`;
}

function connectionsText({ connections, moreConnections }: api.PolicyPreview): string {
  if (connections.length === 0) return 'No live connection would be judged otherwise.\n';
  const rows = connections.map(({ protocol, source, destination, after }) => [
    after,
    endOf(source),
    endOf(destination),
    protocol,
  ]);
  const more = moreConnections === 0 ? '' : `… and ${moreConnections} more\n`;
  return `Live connections, with their next packet:\n${table(['THEN', 'FROM', 'TO', 'PROTOCOL'], rows)}${more}`;
}

function changesText({ changes, moreChanges }: api.PolicyPreview): string {
  if (changes.length === 0) return 'No new connection would be judged otherwise.\n';
  const rows = changes.map((change) => [
    change.after,
    nameOf(change.source),
    nameOf(change.destination),
    portsOf(change),
  ]);
  const more = moreChanges === 0 ? '' : `… and ${moreChanges} more\n`;
  return `New connections:\n${table(['THEN', 'FROM', 'TO', 'WHAT'], rows)}${more}`;
}

export function previewText(preview: api.PolicyPreview): string {
  const { revision, count, added, removed } = preview;
  return [
    `Dry run: ${rules(count)} read, ${added} would come and ${removed} would go; revision ${revision} stays in force\n`,
    changesText(preview),
    connectionsText(preview),
  ].join('\n');
}
