/** weir policy trace: the verdict before the packet. */
import { InvalidArgumentError, type Command } from 'commander';
import type { api } from '../base/index.ts';
import { usage } from './command-error.ts';
import { collect, type Context } from './context.ts';
import { printable } from './io.ts';
import { show, withOutput, type OutputOptions } from './output.ts';

interface Options extends OutputOptions {
  src?: string[];
  dst?: string[];
  srcEndpoint?: string;
  dstEndpoint?: string;
  srcIdentity?: number;
  dstIdentity?: number;
  dport?: api.TracePort[];
  verbose?: boolean;
}

const RULER = '-'.repeat(64);
const PROTOCOLS: Record<string, api.TracePort['protocol']> = {
  tcp: 'TCP',
  udp: 'UDP',
  sctp: 'SCTP',
  icmp: 'ICMP',
  icmpv4: 'ICMP',
  icmpv6: 'ICMPv6',
  any: 'ANY',
};
const LAST_PORT = 65_535;
const LAST_TYPE = 255;
/** The ways to name an endpoint that are no labels. */
const ENDPOINT =
  /^(?:endpoint:(?<number>\d{1,5})|(?:container-name|container-id|docker-endpoint|ipv4|ipv6):.+)$/;
const ADDRESS =
  /^(?:cidr:(?<range>.+)|\d+\.\d+\.\d+\.\d+(?:\/\d+)?|[\da-f]*:[\da-f]*:[\da-f:.]*(?:\/\d+)?)$/i;

/** "80/tcp", or "8/icmp" for a type of message; the protocol may be left out, then it is any. */
function portOf(text: string, before: api.TracePort[] | undefined): api.TracePort[] {
  const [, digits, name = 'any'] = /^(\d{1,5})(?:\/([a-z\d]+))?$/i.exec(text) ?? [];
  const port = Number(digits);
  const protocol = Object.hasOwn(PROTOCOLS, name.toLowerCase()) ? PROTOCOLS[name.toLowerCase()] : undefined;
  if (Number.isNaN(port) || protocol === undefined) {
    throw new InvalidArgumentError('Write port/protocol, as in 80/tcp, or type/icmp.');
  }
  const last = protocol.startsWith('ICMP') ? LAST_TYPE : LAST_PORT;
  if (port > last) throw new InvalidArgumentError(`For ${protocol} it ends at ${last}.`);
  return [...(before ?? []), { port, protocol }];
}

function identityOf(text: string): number {
  const number = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number < 2 ** 32) return number;
  throw new InvalidArgumentError('It must be the number of an identity.');
}

/** What `--src` and `--dst` are given: labels, or one endpoint or address. */
function named(flag: string, texts: string[]): api.TraceParty {
  const parties = texts.map((text): api.TraceParty | undefined => {
    const endpoint = ENDPOINT.exec(text);
    if (endpoint !== null) return { endpoint: endpoint.groups?.['number'] ?? text };
    const address = ADDRESS.exec(text);
    return address === null ? undefined : { address: address.groups?.['range'] ?? text };
  });
  const [party] = parties.filter((each) => each !== undefined);
  if (party === undefined) return { labels: texts };
  if (texts.length === 1) return party;
  throw usage(`--${flag} names an endpoint or an address, and more`, 'give it alone, or give labels');
}

function partyOf(side: 'source' | 'destination', options: Options): api.TraceParty {
  const flag = side === 'source' ? 'src' : 'dst';
  const { [flag]: texts, [`${flag}Endpoint` as const]: endpoint } = options;
  const identity = options[`${flag}Identity`];
  const ways: api.TraceParty[] = [
    ...(texts === undefined ? [] : [named(flag, texts)]),
    ...(endpoint === undefined ? [] : [{ endpoint }]),
    ...(identity === undefined ? [] : [{ identity }]),
  ];
  const [party] = ways;
  if (party !== undefined && ways.length === 1) return party;
  throw usage(
    `the ${side} is ${party === undefined ? 'missing' : 'given twice'}`,
    `write --${flag} LABEL, --${flag}-endpoint ENDPOINT or --${flag}-identity NUMBER`,
  );
}

function partyText({ labels, endpoint, identity, address }: api.TraceParty): string {
  if (labels !== undefined) return `[${labels.join(' ')}]`;
  return `[${endpoint === undefined ? (address ?? `identity ${identity}`) : `endpoint ${endpoint}`}]`;
}

function ruleLine({ direction, rule, labels, verdict }: api.TraceMatch): string {
  const name =
    rule === 0 ? 'default isolation' : `rule ${rule}${labels.length === 0 ? '' : ` (${labels.join(' ')})`}`;
  return `  ${direction}: ${name} says ${verdict}`;
}

function human(request: api.TraceRequest, verbose: boolean): (result: api.TraceResult) => string {
  return (result) => {
    if (verbose && result.lines !== undefined) return asText(result.lines);
    const ports = (request.dports ?? []).map(({ port, protocol }) => `${port}/${protocol}`);
    const from = `From: ${partyText(request.source)} => To: ${partyText(request.destination)}`;
    const lines = [
      RULER,
      `Tracing ${from} Ports: [${ports.join(' ') || 'any'}]`,
      ...result.matched.map(ruleLine),
      '',
      `Egress verdict: ${result.egress}`,
      `Ingress verdict: ${result.ingress}`,
      `Reason: ${result.reason}`,
      `Final verdict: ${result.verdict.toUpperCase()}`,
    ];
    return asText(lines);
  };
}

function asText(lines: string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}

export function addTrace(group: Command, context: Context): void {
  withOutput(group.command('trace'))
    .description('show the verdict that the datapath gives for a connection')
    .option('-s, --src <side>', 'label of the source (may be repeated), endpoint or address', collect)
    .option('-d, --dst <side>', 'label of the destination (may be repeated), endpoint or address', collect)
    .option('--src-endpoint <endpoint>', 'the source as an endpoint of this host')
    .option('--dst-endpoint <endpoint>', 'the destination as an endpoint of this host')
    .option('--src-identity <number>', 'the source as an identity', identityOf)
    .option('--dst-identity <number>', 'the destination as an identity', identityOf)
    .option('--dport <port/protocol>', 'destination port, as in 80/tcp or 8/icmp (may be repeated)', portOf)
    .option('-v, --verbose', 'with the way to the verdict')
    .addHelpText(
      'after',
      '\nInstead of labels a side may be container-name:NAME, container-id:PREFIX, docker-endpoint:PREFIX, endpoint:NUMBER,' +
        '\nreserved:host, reserved:world, an address or a range of addresses outside.' +
        '\nBoth sides count as of one network unless weir:network=NAME is among the labels.',
    )
    .action(async (options: Options, command: Command) => {
      const body: api.TraceRequest = {
        source: partyOf('source', options),
        destination: partyOf('destination', options),
        dports: options.dport ?? [],
      };
      const result = await context
        .client(command)
        .call<api.TraceResult>('/v1/policy/trace', { method: 'POST', body });
      await show(context.io, options, result, human(body, options.verbose === true));
    });
}
