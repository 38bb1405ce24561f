import { type Field, quote } from './field.ts';
import { nearestName, suggest } from './nearest-name.ts';
import type { PortRule, PortSpec, Protocol } from './rule.ts';
import { SERVICE_NAMES, servicePort } from './service-name.ts';
import { members } from './shape.ts';

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP', 'ANY'];
const UNSUPPORTED_PROTOCOLS = ['VRRP', 'IGMP'];
const UNSUPPORTED = {
  rules: 'L7 rules are',
  terminatingtls: 'TLS termination is',
  originatingtls: 'TLS origination is',
  servernames: 'server names are',
  listener: 'listeners are',
};
const PORT_NUMBER = /^(0|[1-9]\d{0,4})$/;

export function parsePortRule(field: Field): PortRule {
  const { ports } = members(field, { known: ['ports'], unsupported: UNSUPPORTED });
  const specs = ports?.list().map(parsePort) ?? [];
  if (specs.length === 0)
    (ports ?? field).fail('names no port', 'list ports as {port, protocol}, or leave toPorts out');
  return { ports: specs };
}

function parsePort(field: Field): PortSpec {
  const parts = members(field, { known: ['port', 'endPort', 'protocol'] });
  if (parts.port === undefined)
    return field.fail('has no port', 'write {port, protocol}; port "0" is every port');
  const port = parsePortText(parts.port);
  const protocol = parts.protocol === undefined ? 'ANY' : parseProtocol(parts.protocol);
  const endPort = parts.endPort === undefined ? 0 : parseEndPort(parts.endPort, port);
  return { port, ...(endPort !== 0 && { endPort }), protocol };
}

export function parsePortText(field: Field): string {
  const text = field.numberOrText();
  if (PORT_NUMBER.test(text)) {
    return Number(text) <= 65_535
      ? text
      : field.fail(`${text} is no port`, 'ports go from 1 to 65535, and 0 is all');
  }
  const name = text.toLowerCase();
  if (servicePort(name) !== undefined) return name;
  if (!/[a-z]/.test(name) || name.startsWith('0x')) {
    return field.fail(
      `${quote(text)} is no port`,
      'write a decimal number from 0 to 65535, or a service name',
    );
  }
  const near = nearestName(name, SERVICE_NAMES);
  const advice =
    near === undefined ? 'write the number' : `did you mean ${quote(near)}? Otherwise write the number`;
  return field.fail(`${quote(text)} is no service name that weir knows`, advice);
}

export function parseProtocol(field: Field): Protocol {
  const text = field.text();
  const upper = text.toUpperCase();
  if (upper === '') return 'ANY';
  if (upper.startsWith('ICMP'))
    return field.fail(`${quote(text)} has no ports`, 'toPorts takes TCP, UDP, SCTP or ANY');
  if (UNSUPPORTED_PROTOCOLS.includes(upper)) {
    return field.fail(`protocol ${upper} is not supported yet`, 'leave the rule out for now');
  }
  const protocol = PROTOCOLS.find((name) => name === upper);
  return protocol ?? field.fail(`${quote(text)} is no protocol`, suggest(upper, PROTOCOLS));
}

/** 0 means that there is no range, as in the field. */
export function parseEndPort(field: Field, port: string): number {
  const text = field.numberOrText();
  if (!PORT_NUMBER.test(text) || Number(text) > 65_535) {
    return field.fail(`${quote(text)} is no port`, 'write a number from 1 to 65535');
  }
  if (text === '0') return 0;
  if (!PORT_NUMBER.test(port))
    return field.fail('cannot end a range that starts with a name', 'write port as a number');
  if (port === '0')
    return field.fail('cannot go with port 0, which is every port', 'write port 1 or leave endPort out');
  if (Number(text) >= Number(port)) return Number(text);
  return field.fail(`${text} is below port ${port}`, 'write a range from the lower to the higher port');
}
