/** Policy and translation on real devices, with whatever way of attaching this kernel has. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Netlink } from '../../kernel/index.ts';
import { parsePolicy } from '../../policy/index.ts';
import { enterOwnNamespace } from '../packets/own-namespace.ts';
import * as rig from './datapath-rig.ts';
import { Sandbox } from './sandbox.ts';
import { scratchBpffs } from './scratch.ts';

enterOwnNamespace();

const netlink = Netlink.open();
const [WEB, DB, OTHER] = [1, 2, 3];
const addressOf = (index: number): string => rig.specOf(index).ipv4 ?? '';
const WORLD = '192.0.2.1';
const UPLINK = '192.0.2.7';

/** db is asked by nobody else than one that cannot. */
const ONLY_OTHER = parsePolicy(
  JSON.stringify([
    {
      endpointSelector: { matchLabels: { id: String(255 + DB) } },
      ingress: [{ fromEndpoints: [{ matchLabels: { id: String(255 + OTHER) } }] }],
    },
  ]),
  'policy.json',
);

/** A machine of the world behind the uplink, which knows no way to containers. */
async function openWorld(): Promise<Sandbox> {
  const macs = { mac: '02:77:00:00:00:01', peerMac: '02:77:00:00:00:02' };
  const { index } = netlink.createVeth({ name: 'nic0', peer: 'nic0-far', mtu: 1500, ...macs });
  const world = await Sandbox.open();
  world.take('nic0-far');
  world.ip('address', 'add', `${WORLD}/24`, 'dev', 'eth0');
  netlink.setLinkUp(index);
  netlink.addAddress(index, `${UPLINK}/24`);
  netlink.addRoute({ destination: '0.0.0.0/0', ifindex: index, gateway: WORLD });
  return world;
}

async function answers(from: Sandbox, address: string): Promise<void> {
  let answer: string | undefined;
  await rig.until(`an answer of ${address}`, () => (answer = from.ask(address, 80)) !== undefined, 15_000);
  assert.equal(answer, 'hello');
}

test('containers, host and world reach each other as policy says', async () => {
  using bpffs = scratchBpffs();
  await using world = await openWorld();
  const datapath = await rig.startDatapath(bpffs.path);
  const open = async (index: number, spaces: number[]): Promise<Sandbox> => {
    const made = await datapath.createEndpoint(rig.specOf(index));
    await datapath.activateEndpoint(`endpoint-${index}`, { ...rig.ownerOf(index), spaces });
    return Sandbox.of(made, rig.specOf(index));
  };
  await using web = await open(WEB, [2]);
  await using db = await open(DB, [2]);
  await using other = await open(OTHER, [3]);
  for (const sandbox of [db, world]) sandbox.serve(80);

  await answers(web, addressOf(DB));
  assert.ok(web.pings(addressOf(DB)));
  assert.equal(other.ask(addressOf(DB), 80), undefined, 'not from another network');
  assert.ok(!other.pings(addressOf(DB)));
  await answers(web, WORLD);
  assert.ok(web.pings(WORLD), 'translated both ways');
  assert.ok(web.pings(rig.NODE), 'the host');

  datapath.enforcement.apply(ONLY_OTHER);
  assert.equal(web.ask(addressOf(DB), 80), undefined, 'denied by the rule');
  datapath.enforcement.apply(parsePolicy('[]', 'policy.json'));
  await answers(web, addressOf(DB));

  web.ip('address', 'add', '10.210.0.99/32', 'dev', 'eth0');
  web.ip('route', 'change', 'default', 'via', '169.254.1.1', 'src', '10.210.0.99');
  assert.ok(!web.pings(WORLD), 'not with an address that is not its own');
  for (const index of [WEB, DB, OTHER]) await datapath.removeEndpoint(`endpoint-${index}`);
  await datapath.close();
  await netlink.deleteLink(netlink.link('nic0')!.index);
});
