/** A datapath with some endpoints in a process that may be killed: datapath-process.js BPFFS COUNT. Says when it is up. */
import { RULES, openDatapath, populate } from './datapath-rig.ts';

const [bpffs = '', count = '0'] = process.argv.slice(2);
const datapath = openDatapath(bpffs);
await datapath.start();
datapath.enforcement.apply(RULES);
await datapath.commit();
await populate(datapath, Number(count));
process.send?.('up');
setInterval(() => {}, 1_000);
