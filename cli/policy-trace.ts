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
  dport?: api.TracePort[];
  verbose?: boolean;
}

const RULER = '-'.repeat(64);

/** "80/tcp", "80" or "http"-less forms: the protocol may be left out, then it is any. */
function portOf(text: string, before: api.TracePort[] | undefined): api.TracePort[] {
  const [, digits, name = 'any'] = /^(\d{1,5})(?:\/([a-z]+))?$/i.exec(text) ?? [];
  const port = Number(digits);
  const protocol = (['TCP', 'UDP', 'SCTP', 'ANY'] as const).find((known) => known === name.toUpperCase());
  if (Number.isNaN(port) || port > 65_535 || protocol === undefined) {
    throw new InvalidArgumentError('Write port/protocol, as in 80/tcp.');
  }
  return [...(before ?? []), { port, protocol }];
}

function partyOf(
  side: 'source' | 'destination',
  labels: string[] | undefined,
  endpoint: string | undefined,
): api.TraceParty {
  const flag = side === 'source' ? 'src' : 'dst';
  if ((labels === undefined) === (endpoint === undefined)) {
    throw usage(
      `the ${side} is missing or given twice`,
      `write --${flag} LABEL or --${flag}-endpoint ENDPOINT`,
    );
  }
  return labels === undefined ? { endpoint: String(endpoint) } : { labels };
}

function partyText({ labels, endpoint }: api.TraceParty): string {
  return `[${labels === undefined ? `endpoint ${endpoint}` : labels.join(' ')}]`;
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
    .option('-s, --src <label>', 'label of the source (may be repeated)', collect)
    .option('-d, --dst <label>', 'label of the destination (may be repeated)', collect)
    .option('--src-endpoint <endpoint>', 'the source as an endpoint of this host')
    .option('--dst-endpoint <endpoint>', 'the destination as an endpoint of this host')
    .option('--dport <port/protocol>', 'destination port, as in 80/tcp (may be repeated)', portOf)
    .option('-v, --verbose', 'with the way to the verdict')
    .addHelpText(
      'after',
      '\nBoth sides count as of one network unless weir:network=NAME is among the labels.',
    )
    .action(async (options: Options, command: Command) => {
      const body: api.TraceRequest = {
        source: partyOf('source', options.src, options.srcEndpoint),
        destination: partyOf('destination', options.dst, options.dstEndpoint),
        dports: options.dport ?? [],
      };
      const result = await context
        .client(command)
        .call<api.TraceResult>('/v1/policy/trace', { method: 'POST', body });
      await show(context.io, options, result, human(body, options.verbose === true));
    });
}
