/** What a failed call into the kernel looks like: one error class that carries the errno's name. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { HostError } from '../base/index.ts';

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

  constructor(operation: string, code: number, detail?: string, kind = 'KERNEL_REFUSED') {
    const name = errnoName(code);
    const text = detail || (getSystemErrorMap().get(-Math.abs(code))?.[1] ?? '');
    super(kind, `${operation}: ${name}${text && ` (${text})`}`);
    this.errno = name;
  }
}

/** `result` where it is not an error number; throws KernelError otherwise. */
export function expect(result: number, operation: string): number {
  if (result < 0) throw new KernelError(operation, result);
  return result;
}
