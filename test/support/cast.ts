/** Who is who in tests: a fixed cast with addresses of one host. web and db share a network, stranger is of another. */

export interface Role {
  name: string;
  ip: string;
  mac: string;
  /** Of the host side, which answers as the gateway. */
  gatewayMac: string;
  gateway: string;
  /** The endpoint's number. */
  id: number;
  container: number;
  identity: number;
  spaces: number[];
}

function role(name: string, id: number, more: Pick<Role, 'identity' | 'spaces'> & Partial<Role>): Role {
  const hex = id.toString(16).padStart(2, '0');
  return {
    name,
    id,
    ip: `10.210.0.${id}`,
    mac: `02:42:0a:d2:00:${hex}`,
    gatewayMac: `02:77:00:00:00:${hex}`,
    gateway: '169.254.1.1',
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
