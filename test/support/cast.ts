/**
 * Who is who in tests: a fixed cast with addresses of one host. web and db share a network, stranger is of another.
 * Everyone has an address of each family; a cast shows everyone under those of one.
 */

export interface Role {
  name: string;
  /** Of the family of its cast, as is the gateway. */
  ip: string;
  gateway: string;
  ip4: string;
  ip6: string;
  mac: string;
  /** Of the host side, which answers as the gateway. */
  gatewayMac: string;
  /** The endpoint's number. */
  id: number;
  container: number;
  identity: number;
  spaces: number[];
}

export const GATEWAY = { 4: '169.254.1.1', 6: 'fe80::1' } as const;

function role(name: string, id: number, more: Pick<Role, 'identity' | 'spaces'> & Partial<Role>): Role {
  const hex = id.toString(16).padStart(2, '0');
  const ip4 = `10.210.0.${id}`;
  return {
    ...{ name, id, ip: ip4, ip4, gateway: GATEWAY[4] },
    ip6: `fd00:210::${id.toString(16)}`,
    mac: `02:42:0a:d2:00:${hex}`,
    gatewayMac: `02:77:00:00:00:${hex}`,
    container: id,
    ...more,
  };
}

const FRONT = 2;
const BACK = 3;
const OTHER = 4;

export const web = role('web', 10, { identity: 1001, spaces: [FRONT, BACK] });
export const db = role('db', 11, { identity: 1002, spaces: [BACK] });
export const client = role('client', 12, { identity: 1003, spaces: [FRONT] });
export const stranger = role('stranger', 13, { identity: 1004, spaces: [OTHER] });
/** web's second interface: same container, same identity, an address of its own. */
export const webBack = role('webBack', 14, {
  ...{ identity: 1001, spaces: [FRONT, BACK] },
  container: web.container,
});
export const ROLES = [web, db, client, stranger, webBack] as const;

/** The host's own address inside weir, and its uplink with the router behind it. */
export const host = { ip: '10.210.0.1', identity: 1 } as const;
export const uplink = { ip: '192.0.2.10', mac: '02:88:00:00:00:01', name: 'uplink' } as const;
export const router = { ip: '192.0.2.1', mac: '02:88:00:00:00:02' } as const;
/** Somebody in the world, and somebody in a range that policy names. */
export const world = { ip: '198.51.100.7', identity: 2 } as const;
export const partner = { ip: '203.0.113.5', cidr: '203.0.113.0/24', identity: 0x100_0001 } as const;
/** An address of the cluster that nobody has, and one outside that is reached without masquerading. */
export const nobody = { ip: '10.210.0.99', cidr: '10.210.0.0/16' } as const;
export const native = { ip: '172.31.0.9', cidr: '172.31.0.0/16' } as const;
/** No address at all. */
export const NO_ONE = '0.0.0.0';
/** Ports that masquerading may use. */
export const NAT = { low: 61000, high: 61099 } as const;

/** Everyone under the addresses of one family, and what else differs between the families. */
export interface Cast {
  family: 'IPv4' | 'IPv6';
  web: Role;
  db: Role;
  client: Role;
  stranger: Role;
  webBack: Role;
  host: { ip: string; identity: number };
  uplink: { ip: string; mac: string; name: string };
  router: { ip: string };
  world: { ip: string; identity: number };
  partner: { ip: string; cidr: string; identity: number };
  nobody: { ip: string; cidr: string };
  native: { ip: string; cidr: string };
  /** A destination that routing refuses, and one behind a device that is no uplink, as another Docker bridge is. */
  blackhole: { ip: string; cidr: string };
  bridge: { ip: string; neighbour: string };
  /** A router of the world. */
  beyond: string;
  noOne: string;
  /** A group of the neighbourhood. */
  group: string;
  everyone: string;
  headerSize: number;
  /** Prefix length of a link. */
  onLink: number;
  icmp: Record<
    'protocol' | 'echo' | 'echoReply' | 'unreachable' | 'timeExceeded' | 'parameterProblem',
    number
  >;
}

const CAST4: Cast = {
  ...{
    family: 'IPv4',
    web,
    db,
    client,
    stranger,
    webBack,
    host,
    uplink,
    router,
    world,
    partner,
    nobody,
    native,
  },
  blackhole: { ip: '192.88.99.5', cidr: '192.88.99.0/24' },
  bridge: { ip: '172.20.0.1', neighbour: '172.20.0.5' },
  ...{
    beyond: '203.0.113.77',
    noOne: NO_ONE,
    group: '224.0.0.251',
    everyone: '0.0.0.0/0',
    headerSize: 20,
    onLink: 24,
  },
  icmp: { protocol: 1, echo: 8, echoReply: 0, unreachable: 3, timeExceeded: 11, parameterProblem: 12 },
};

const in6 = (item: Role): Role => ({ ...item, ip: item.ip6, gateway: GATEWAY[6] });

const CAST6: Cast = {
  ...{ family: 'IPv6', web: in6(web), db: in6(db), client: in6(client), stranger: in6(stranger) },
  webBack: in6(webBack),
  host: { ...host, ip: 'fd00:210::1' },
  uplink: { ...uplink, ip: '2001:db8::10' },
  router: { ip: '2001:db8::1' },
  world: { ...world, ip: '2001:db8:77::7' },
  partner: { ...partner, ip: '2001:db8:113::5', cidr: '2001:db8:113::/48' },
  nobody: { ip: 'fd00:210::99', cidr: 'fd00:210::/48' },
  native: { ip: 'fd00:31::9', cidr: 'fd00:31::/32' },
  blackhole: { ip: '2001:db8:99::5', cidr: '2001:db8:99::/48' },
  bridge: { ip: 'fd00:20::1', neighbour: 'fd00:20::5' },
  ...{
    beyond: '2001:db8:113::77',
    noOne: '::',
    group: 'ff02::fb',
    everyone: '::/0',
    headerSize: 40,
    onLink: 64,
  },
  icmp: { protocol: 58, echo: 128, echoReply: 129, unreachable: 1, timeExceeded: 3, parameterProblem: 4 },
};

export const CASTS: readonly Cast[] = [CAST4, CAST6];
