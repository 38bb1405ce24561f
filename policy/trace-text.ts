import { isEndpointIdentity } from '../identity/index.ts';
import type { CompiledItem, CompiledPolicy, CompiledRule } from './compile.ts';
import type { Decision } from './decide.ts';
import { PEER_ANY, entryCovers } from './entry.ts';
import { type PolicyContext, classOf, isOutside, sameNetwork } from './isolation.ts';
import { Side } from './resolve.ts';
import { describeParty } from './trace-party.ts';
import type { Probe, SideTrace, TraceQuery } from './trace.ts';

interface Outcome {
  verdict: 'allowed' | 'denied' | 'audited';
  probes: readonly Probe[];
  sides: readonly SideTrace[];
}

/** One line: what denies it, or what allows it on each side. */
export function reasonFor({ verdict, probes, sides }: Outcome): string {
  const parts: string[] = [];
  for (const side of sides) {
    for (const [at, decision] of side.decisions.entries()) {
      const isDenied = decision.verdict === 'deny' || side.noWorld;
      if (isDenied !== (verdict !== 'allowed')) continue;
      parts.push(`${side.direction} ${probes[at]?.text}: ${reasonOf(side, decision)}`);
    }
  }
  return [...new Set(parts)].join('; ');
}

function reasonOf(side: SideTrace, decision: Decision): string {
  if (side.noWorld) {
    const whose = side.direction === 'egress' ? 'source' : 'destination';
    return `the networks of the ${whose} are internal, nothing leads to the world or from it`;
  }
  if (side.resolution === undefined) return 'no policy on this side';
  const audited = side.audited ? '; it passes all the same, since policy is only audited here' : '';
  if (decision.match === 'none') {
    const who = isEnforced(side) ? 'no rule allows' : 'the default isolation does not allow';
    const way = isEnforced(side) ? '' : wayIn(side);
    return `${who} it (Policy denied)${way}${audited}`;
  }
  if (decision.verdict === 'deny') {
    return `rule ${decision.rule} denies it (Policy denied by denylist)${audited}`;
  }
  if (decision.published) return 'the default isolation lets published ports in';
  const who = decision.rule === 0 ? 'the default isolation' : `rule ${decision.rule}`;
  return `${who} allows it (${decision.match})`;
}

/** What is open instead. */
function wayIn({ direction, peer, published }: SideTrace): string {
  if (direction !== 'ingress' || !isOutside(peer.id)) return '';
  return published.size === 0 ? '; no port of it is published' : '; another port of it is published';
}

function isEnforced({ direction, resolution }: SideTrace): boolean {
  return (direction === 'ingress' ? resolution?.ingressEnforced : resolution?.egressEnforced) ?? false;
}

interface Asked {
  query: TraceQuery;
  context: PolicyContext;
}

/** The whole way to the verdict, both directions, every rule named. */
export function explain(policy: CompiledPolicy, outcome: Outcome, { query, context }: Asked): string[] {
  const ports = outcome.probes.map((probe) => probe.text).join(', ');
  return [
    '-'.repeat(72),
    `Tracing From: ${describeParty(query.source)} => To: ${describeParty(query.destination)} Ports: [${ports}]`,
    ...outcome.sides.flatMap((side) => ['', ...explainSide(policy, side, outcome.probes, context)]),
    '',
    `Reason: ${reasonFor(outcome)}`,
    `Final verdict: ${outcome.verdict.toUpperCase()}`,
  ];
}

function explainSide(
  policy: CompiledPolicy,
  side: SideTrace,
  probes: readonly Probe[],
  context: PolicyContext,
): string[] {
  const title = `Resolving ${side.direction} policy for ${describeParty(side.subject.labels)}`;
  const verdict = `${side.direction === 'ingress' ? 'Ingress' : 'Egress'} verdict: ${side.judgement}`;
  if (side.resolution === undefined) return [title, 'No policy applies to it', verdict];
  const view = new Side(policy, side.subject, [side.peer], context);
  const selected = new Set(view.rules);
  const rules = policy.rules.flatMap((rule) =>
    selected.has(rule)
      ? explainRule(rule, side, { view, probes, context })
      : [`${titleOf(rule)}: not selected`],
  );
  return [title, ...rules, ...summary(policy, selected.size, side), ...found(side, probes), verdict];
}

function titleOf({ number, rule, subject }: CompiledRule): string {
  const labels = rule.labels === undefined ? '' : ` ${describeParty(rule.labels)}`;
  return `* Rule ${number} ${subject.text}${labels}`;
}

function summary(policy: CompiledPolicy, selected: number, side: SideTrace): string[] {
  const enforced = isEnforced(side) ? 'enforced' : 'not enforced, the default isolation holds';
  return [`${selected}/${policy.rules.length} rules selected; ${side.direction} is ${enforced}`];
}

function found(side: SideTrace, probes: readonly Probe[]): string[] {
  return side.decisions.map((decision, at) => `${probes[at]?.text}: ${reasonOf(side, decision)}`);
}

interface Explaining {
  view: Side;
  probes: readonly Probe[];
  context: PolicyContext;
}

function explainRule(rule: CompiledRule, side: SideTrace, how: Explaining): string[] {
  const items = rule.items[side.direction];
  if (items.length === 0) return [`${titleOf(rule)}: selected, says nothing on ${side.direction}`];
  const unmet = isEndpointIdentity(side.peer.id)
    ? rule.requires[side.direction].filter((selector) => !selector.matches(side.peer))
    : [];
  return [
    `${titleOf(rule)}: selected`,
    ...unmet.map(({ text }) => `    Found unsatisfied ${REQUIRES[side.direction]} constraint ${text}`),
    ...items.flatMap((item) => explainItem(item, side, how)),
  ];
}

const REQUIRES = { ingress: 'FromRequires', egress: 'ToRequires' };

function explainItem(item: CompiledItem, side: SideTrace, { view, probes, context }: Explaining): string[] {
  const admitted = view.admitted(side.direction, item);
  const near = sameNetwork(side.subject, side.peer, context);
  const isPeer = [side.peer.id, classOf(side.peer, near), PEER_ANY].some((peer) => admitted.has(peer));
  const covered = probes.filter((probe) => coversProbe(item, probe)).map((probe) => probe.text);
  const ports = covered.length === 0 ? 'none of the ports' : covered.join(', ');
  const verb = item.verdict === 'allow' ? 'Allows' : 'Denies';
  return [
    `    ${verb} ${item.text}`,
    `      the peer ${isPeer ? 'matches' : 'does not match'}; covers ${ports}`,
  ];
}

function coversProbe(item: CompiledItem, { port, protocols }: Probe): boolean {
  return protocols.some((protocol) => {
    return item.ports.some((ports) => entryCovers(ports, { protocol, port, portBits: 16 }));
  });
}
