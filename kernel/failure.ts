/** What a failed call into the kernel looks like: one error class that carries the errno's name. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { HostError } from '../base/index.ts';
import type { WeirErrorOptions } from '../base/index.ts';

/** The kernel's own "not supported", which never reaches libc's list but does leave bpf(2). */
export const ENOTSUPP = 524;

const NAMES = new Map<number, string>(Object.entries(constants.errno).map(([name, code]) => [code, name]));
NAMES.set(ENOTSUPP, 'ENOTSUPP');

/** Errno numbers by name, positive, as in `ERRNO.ENOENT`. */
export const ERRNO = constants.errno;

/** "ENODEV" for 19 or -19. */
export function errnoName(code: number): string {
  return NAMES.get(Math.abs(code)) ?? `errno ${Math.abs(code)}`;
}

/** The kernel refused a call. `errno` is its name, for callers that treat some refusals as answers. */
export class KernelError extends HostError {
  readonly errno: string;

  constructor(
    operation: string,
    code: number,
    detail?: string,
    { kind = 'KERNEL_REFUSED', ...options }: WeirErrorOptions & { kind?: string } = {},
  ) {
    const name = errnoName(code);
    const text = detail || (getSystemErrorMap().get(-Math.abs(code))?.[1] ?? '');
    super(kind, `${operation}: ${name}${text && ` (${text})`}`, options);
    this.errno = name;
  }
}

/** A map of the datapath has no room for another entry. */
export class MapFullError extends KernelError {
  constructor(map: string, size: number, code: number) {
    super(`update map ${map}`, code, `all ${size} entries are in use`, {
      kind: 'MAP_FULL',
      hint: `start the agent with a larger --bpf-map-size ${map.replace(/^weir_/, '')}=…`,
    });
  }
}

/** `result` where it is not an error number; throws KernelError otherwise. */
export function expect(result: number, operation: string): number {
  if (result < 0) throw new KernelError(operation, result);
  return result;
}
