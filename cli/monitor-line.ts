/** One flow as one line, in the form that the field's monitors have. */
import type { api } from '../base/index.ts';
import { printable } from './io.ts';

export interface LineOptions {
  /** Numbers and addresses alone. */
  numeric: boolean;
  /** With time, interface, labels and rule. */
  verbose: boolean;
}

/** What a person calls a side: its container, else what it is reserved for. */
function nameOf({ containerName, labels, ip }: api.FlowPeer): string {
  const reserved = labels.find((label) => label.startsWith('reserved:'));
  return containerName ?? reserved?.slice('reserved:'.length) ?? ip;
}

function identities({ source, destination }: api.Flow, numeric: boolean): string {
  const numbers = `identity ${source.identity}->${destination.identity}`;
  return numeric ? numbers : `${numbers} (${nameOf(source)}->${nameOf(destination)})`;
}

/** The endpoint whose policy or place it is about: the receiver's unless only the sender is of this host. */
function place({ source, destination }: api.Flow): string {
  if (destination.endpointId !== undefined) return `to endpoint ${destination.endpointId}`;
  return source.endpointId === undefined ? 'to endpoint 0' : `from endpoint ${source.endpointId}`;
}

function ruleOf({ rule, ruleLabels }: api.Flow): string {
  if (rule === 0) return '';
  return ruleLabels.length === 0 ? `, rule ${rule}` : `, rule ${rule} (${ruleLabels.join(' ')})`;
}

/** "to-endpoint" is "-> endpoint 12", "from-stack" is "<- stack". */
function traced(flow: api.Flow): string {
  const [, way, where] = /^(to|from)-(.+)$/.exec(flow.reason) ?? [undefined, 'to', flow.reason];
  const peer = way === 'to' ? flow.destination : flow.source;
  const number = where === 'endpoint' && peer.endpointId !== undefined ? ` ${peer.endpointId}` : '';
  return `${way === 'to' ? '->' : '<-'} ${where}${number}`;
}

function action({ verdict, reason }: api.Flow): string {
  if (verdict === 'allowed') return `allow, match ${reason}`;
  return `${verdict === 'audited' ? 'audit' : 'deny'}, ${reason}`;
}

function body(flow: api.Flow, { numeric }: LineOptions): string {
  const who = identities(flow, numeric);
  switch (flow.type) {
    case 'drop':
      return `xx drop (${flow.reason}) flow ${place(flow)}, ${who}: ${flow.summary}${ruleOf(flow)}`;
    case 'trace':
      return `${traced(flow)}, ${who} state ${flow.ctState} interface ${flow.interface}: ${flow.summary}`;
    case 'policy-verdict':
      return `Policy verdict flow ${place(flow)}, ${who}, ${flow.direction}, action ${action(flow)}: ${flow.summary}${ruleOf(flow)}`;
  }
}

function details(flow: api.Flow): string[] {
  const labels = (peer: api.FlowPeer): string => peer.labels.join(' ') || '-';
  return [
    `    ${flow.time} ${flow.direction} interface ${flow.interface} length ${flow.length} state ${flow.ctState}`,
    `    from ${labels(flow.source)}`,
    `    to ${labels(flow.destination)}`,
    `    policy revision ${flow.policyRevision}${flow.policyLog === undefined ? '' : `, log "${flow.policyLog}"`}`,
  ];
}

export function monitorLine(record: api.MonitorRecord, options: LineOptions): string {
  if (record.type === 'lost') return `!! ${record.count} events lost: the reader is too slow\n`;
  const lines = [body(record, options), ...(options.verbose ? details(record) : [])];
  return lines.map((line) => `${printable(line)}\n`).join('');
}
