/** A sample event and its names, for the tests of this floor. */
import type { FlowEvent } from './event.ts';
import type { FlowNames } from './flow.ts';

/** web answers on 80, client is denied: a dropped SYN unless changed. */
export function sampleEvent(change: Partial<FlowEvent> = {}): FlowEvent {
  return {
    time: 1_000n,
    type: 1,
    reason: 133,
    direction: 1,
    match: 0,
    ifindex: 7,
    length: 74,
    sourceIdentity: 261,
    destinationIdentity: 264,
    sourceEndpoint: 4,
    destinationEndpoint: 12,
    generation: 3,
    rule: 0,
    source: '10.210.0.4',
    destination: '10.210.0.2',
    sourcePort: 4242,
    destinationPort: 80,
    protocol: 6,
    tcpFlags: 2,
    ctState: 0,
    icmpType: 0,
    icmpCode: 0,
    audit: 0,
    ...change,
  };
}

export const sampleNames: FlowNames = {
  containerName: (endpoint) => ({ 4: 'client', 12: 'web' })[endpoint],
  identityLabels: (identity) => (identity === 2 ? ['reserved:world'] : [`container:id=${identity}`]),
  ruleLabels: (rule, revision) => [`container:rule=${rule}`, `container:revision=${revision}`],
  ruleLog: (rule) => (rule === 9 ? 'ticket 9' : undefined),
  interfaceName: (ifindex) => `weir${ifindex}`,
  dropReason: (code) => (code === 133 ? 'Policy denied' : `code ${code}`),
  time: (ns) => `t${ns}`,
};
