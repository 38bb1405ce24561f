/** An agent's start on what another left, in a process that may be killed: adopting-process.js BPFFS TCX RULES. */
import type { Rule } from '../../policy/index.ts';
import { adopt, openDatapath } from './datapath-rig.ts';

const [bpffs = '', tcx = '', rules = ''] = process.argv.slice(2);
const datapath = openDatapath(bpffs, { tcx: tcx === 'true' });
await adopt(datapath, [1, 2], JSON.parse(rules) as Rule[], () => process.send?.('now'));
setInterval(() => {}, 1_000);
