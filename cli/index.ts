/**
 * The `weir` command: a client of the agent's API, for people and for scripts.
 *
 * Promise: exit code 0 is fine, 1 is failed or unhealthy, 2 is a wrong command line; what goes wrong is one line on
 * stderr; -o json is stable and is what openapi.yaml says. Never: touches Docker, the kernel or the agent's files.
 * Trap: it starts in a blink because it loads little; of base/ it takes types alone.
 */
export { run } from './program.ts';
export type { Io } from './io.ts';
