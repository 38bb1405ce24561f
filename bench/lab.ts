/** The benches use the hosts of the lab tests. */
/* oxlint-disable no-restricted-imports -- the lab has no door: tests are its only other users */
export { ask, setPolicy } from '../test/lab/api.ts';
export { LabHost, WEIR } from '../test/lab/host.ts';
export { Lan } from '../test/lab/lan.ts';
export type { LabNamespace } from '../test/lab/namespace.ts';
export { attempt, exitCode, run, sleep, until } from '../test/lab/run.ts';
