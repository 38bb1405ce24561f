/**
 * The one file that calls C: libbpf and the dozen libc functions that Node lacks. Everything else in the floor
 * sees typed functions. libbpf is opened on first use, so that importing the floor needs no library.
 *
 * libbpf ≥ 1.0 returns -errno from all of its calls, which is why they may run on a worker thread; libc leaves its
 * errno in the calling thread, so libc calls are made on the main thread or their errno is not asked for.
 */
import koffi from 'koffi';
import type { LibraryHandle } from 'koffi';
import { HostError } from '../base/index.ts';

/** An address as koffi gives it. */
export type Pointer = bigint;
type Bytes = Buffer | null;

const LIBBPF = {
  libbpf_set_print: 'void *libbpf_set_print(void *fn)',
  libbpf_num_possible_cpus: 'int libbpf_num_possible_cpus()',
  libbpf_probe_bpf_helper: 'int libbpf_probe_bpf_helper(int program, int helper, const void *opts)',
  bpf_object__open_mem: 'void *bpf_object__open_mem(const void *bytes, size_t size, const void *opts)',
  bpf_object__load: 'int bpf_object__load(void *object)',
  bpf_object__close: 'void bpf_object__close(void *object)',
  bpf_object__next_map: 'void *bpf_object__next_map(void *object, void *map)',
  bpf_object__next_program: 'void *bpf_object__next_program(void *object, void *program)',
  bpf_map__name: 'const char *bpf_map__name(void *map)',
  bpf_map__fd: 'int bpf_map__fd(void *map)',
  bpf_map__type: 'int bpf_map__type(void *map)',
  bpf_map__key_size: 'uint32_t bpf_map__key_size(void *map)',
  bpf_map__value_size: 'uint32_t bpf_map__value_size(void *map)',
  bpf_map__max_entries: 'uint32_t bpf_map__max_entries(void *map)',
  bpf_map__map_flags: 'uint32_t bpf_map__map_flags(void *map)',
  bpf_map__set_max_entries: 'int bpf_map__set_max_entries(void *map, uint32_t count)',
  bpf_map__set_pin_path: 'int bpf_map__set_pin_path(void *map, const char *path)',
  bpf_program__name: 'const char *bpf_program__name(void *program)',
  bpf_program__fd: 'int bpf_program__fd(void *program)',
  bpf_program__set_log_buf: 'int bpf_program__set_log_buf(void *program, void *bytes, size_t size)',
  bpf_map_create:
    'int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t max, const void *opts)',
  bpf_map_lookup_elem: 'int bpf_map_lookup_elem(int fd, const void *key, void *value)',
  bpf_map_update_elem: 'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
  bpf_map_delete_elem: 'int bpf_map_delete_elem(int fd, const void *key)',
  bpf_map_get_next_key: 'int bpf_map_get_next_key(int fd, const void *key, void *next)',
  bpf_map_update_batch:
    'int bpf_map_update_batch(int fd, const void *keys, const void *values, void *count, const void *opts)',
  bpf_map_delete_batch: 'int bpf_map_delete_batch(int fd, const void *keys, void *count, const void *opts)',
  bpf_map_lookup_batch:
    'int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, void *count, const void *opts)',
  bpf_object__btf: 'void *bpf_object__btf(void *object)',
  btf__raw_data: 'void *btf__raw_data(void *btf, void *size)',
  bpf_map__btf_key_type_id: 'uint32_t bpf_map__btf_key_type_id(void *map)',
  bpf_map__btf_value_type_id: 'uint32_t bpf_map__btf_value_type_id(void *map)',
  bpf_btf_get_fd_by_id: 'int bpf_btf_get_fd_by_id(uint32_t id)',
  bpf_obj_pin: 'int bpf_obj_pin(int fd, const char *path)',
  bpf_obj_get: 'int bpf_obj_get(const char *path)',
  bpf_obj_get_info_by_fd: 'int bpf_obj_get_info_by_fd(int fd, void *info, void *size)',
  bpf_link_create: 'int bpf_link_create(int program, int target, int type, const void *opts)',
  bpf_link_update: 'int bpf_link_update(int link, int program, const void *opts)',
  bpf_link_detach: 'int bpf_link_detach(int link)',
  bpf_prog_query:
    'int bpf_prog_query(int target, int type, uint32_t flags, void *attached, void *ids, void *count)',
  bpf_prog_test_run_opts: 'int bpf_prog_test_run_opts(int program, void *opts)',
  bpf_tc_hook_create: 'int bpf_tc_hook_create(void *hook)',
  bpf_tc_attach: 'int bpf_tc_attach(const void *hook, void *opts)',
  bpf_tc_query: 'int bpf_tc_query(const void *hook, void *opts)',
  bpf_tc_detach: 'int bpf_tc_detach(const void *hook, const void *opts)',
} as const;

/** libbpf, as far as weir uses it. */
export interface Libbpf {
  libbpf_set_print(fn: null): void;
  libbpf_num_possible_cpus(): number;
  libbpf_probe_bpf_helper(program: number, helper: number, opts: null): number;
  bpf_object__open_mem(bytes: Buffer, size: number, opts: Buffer): Pointer | null;
  bpf_object__load(object: Pointer): number;
  bpf_object__close(object: Pointer): void;
  bpf_object__next_map(object: Pointer, map: Pointer | null): Pointer | null;
  bpf_object__next_program(object: Pointer, program: Pointer | null): Pointer | null;
  bpf_map__name(map: Pointer): string;
  bpf_map__fd(map: Pointer): number;
  bpf_map__type(map: Pointer): number;
  bpf_map__key_size(map: Pointer): number;
  bpf_map__value_size(map: Pointer): number;
  bpf_map__max_entries(map: Pointer): number;
  bpf_map__map_flags(map: Pointer): number;
  bpf_map__set_max_entries(map: Pointer, count: number): number;
  bpf_map__set_pin_path(map: Pointer, path: string): number;
  bpf_program__name(program: Pointer): string;
  bpf_program__fd(program: Pointer): number;
  bpf_program__set_log_buf(program: Pointer, bytes: Buffer, size: number): number;
  bpf_map_create(type: number, name: string, key: number, value: number, max: number, opts: Buffer): number;
  bpf_map_lookup_elem(fd: number, key: Buffer, value: Buffer): number;
  bpf_map_update_elem(fd: number, key: Buffer, value: Buffer, flags: number): number;
  bpf_map_delete_elem(fd: number, key: Buffer): number;
  bpf_map_get_next_key(fd: number, key: Bytes, next: Buffer): number;
  bpf_map_update_batch(fd: number, keys: Buffer, values: Buffer, count: Buffer, opts: null): number;
  bpf_map_delete_batch(fd: number, keys: Buffer, count: Buffer, opts: null): number;
  bpf_map_lookup_batch(fd: number, from: Bytes, to: Buffer, ...out: [Buffer, Buffer, Buffer, null]): number;
  bpf_object__btf(object: Pointer): Pointer | null;
  btf__raw_data(btf: Pointer, size: Buffer): Pointer | null;
  bpf_map__btf_key_type_id(map: Pointer): number;
  bpf_map__btf_value_type_id(map: Pointer): number;
  bpf_btf_get_fd_by_id(id: number): number;
  bpf_obj_pin(fd: number, path: string): number;
  bpf_obj_get(path: string): number;
  bpf_obj_get_info_by_fd(fd: number, info: Buffer, size: Buffer): number;
  bpf_link_create(program: number, target: number, type: number, opts: null): number;
  bpf_link_update(link: number, program: number, opts: null): number;
  bpf_link_detach(link: number): number;
  bpf_prog_query(target: number, type: number, flags: number, ...out: [null, null, Buffer]): number;
  bpf_prog_test_run_opts(program: number, opts: Buffer): number;
  bpf_tc_hook_create(hook: Buffer): number;
  bpf_tc_attach(hook: Buffer, opts: Buffer): number;
  bpf_tc_query(hook: Buffer, opts: Buffer): number;
  bpf_tc_detach(hook: Buffer, opts: Buffer): number;
}

const LIBC = {
  flock: 'int flock(int fd, int operation)',
  getpagesize: 'int getpagesize()',
  mmap: 'void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset)',
  munmap: 'int munmap(void *at, size_t size)',
  mount:
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)',
  setns: 'int setns(int fd, int kind)',
  socket: 'int socket(int domain, int type, int protocol)',
  umount2: 'int umount2(const char *target, int flags)',
  bind: 'int bind(int fd, const void *address, uint32_t size)',
  connect: 'int connect(int fd, const void *address, uint32_t size)',
  getsockopt: 'int getsockopt(int fd, int level, int option, void *value, void *size)',
  setsockopt: 'int setsockopt(int fd, int level, int option, const void *value, uint32_t size)',
  send: 'long send(int fd, const void *bytes, size_t size, int flags)',
  recv: 'long recv(int fd, void *bytes, size_t size, int flags)',
} as const;

/** The libc calls that Node has no word for. -1 means: see `lastErrno`. */
export interface Libc {
  flock(fd: number, operation: number): number;
  getpagesize(): number;
  mmap(at: null, size: number, protection: number, flags: number, fd: number, offset: number): Pointer;
  munmap(at: Pointer, size: number): number;
  mount(source: string, target: string, type: string, flags: number, data: null): number;
  setns(fd: number, kind: number): number;
  socket(domain: number, type: number, protocol: number): number;
  umount2(target: string, flags: number): number;
  bind(fd: number, address: Buffer, size: number): number;
  connect(fd: number, address: Buffer, size: number): number;
  getsockopt(fd: number, level: number, option: number, value: Buffer, size: Buffer): number;
  setsockopt(fd: number, level: number, option: number, value: Buffer, size: number): number;
  send(fd: number, bytes: Buffer, size: number, flags: number): number;
  recv(fd: number, bytes: Buffer, size: number, flags: number): number;
}

function bindAll<T>(library: LibraryHandle, prototypes: Record<keyof T & string, string>): T {
  const entries = Object.entries<string>(prototypes);
  return Object.fromEntries(entries.map(([name, prototype]) => [name, library.func(prototype)])) as T;
}

function openLibbpf(): Libbpf {
  let library: LibraryHandle;
  try {
    library = koffi.load('libbpf.so.1');
  } catch (cause) {
    const hint = 'install libbpf 1.0 or later: apt-get install libbpf1';
    throw new HostError('LIBBPF_MISSING', 'libbpf.so.1 is not on this host', { cause, hint });
  }
  const bound = bindAll<Libbpf>(library, LIBBPF);
  // libbpf prints to stderr unless told not to, and its callback takes a va_list that cannot cross into JavaScript.
  bound.libbpf_set_print(null);
  return bound;
}

let openedLibbpf: Libbpf | undefined;
let openedLibc: Libc | undefined;

/** libbpf; throws HostError LIBBPF_MISSING where the host has none. */
export function libbpf(): Libbpf {
  return (openedLibbpf ??= openLibbpf());
}

export function libc(): Libc {
  return (openedLibc ??= bindAll<Libc>(koffi.load(null), LIBC));
}

/** errno of the last libc call, negative as libbpf's results are; read it before anything else runs. */
export function lastErrno(): number {
  return -koffi.errno();
}

/** What a struct in C points to lives as long as the struct does. */
const pointees = new WeakMap<Buffer, Buffer[]>();

/** Writes the address of `target` into a struct, and keeps `target` alive with it. */
export function writePointer(struct: Buffer, target: Buffer, offset: number): void {
  struct.writeBigUInt64LE(koffi.address(target), offset);
  pointees.set(struct, [...(pointees.get(struct) ?? []), target]);
}

/** Foreign memory as an ArrayBuffer. It must not be touched after the memory is unmapped. */
export function viewMemory(at: Pointer, size: number): ArrayBuffer {
  return koffi.view(at, size);
}

/** Worker threads are shared with file and name look-ups, and the kernel does one of these calls at a time anyhow. */
const MOST_ASYNC = 2;
const waiting: (() => void)[] = [];
let running = 0;

function begin(start: () => void): void {
  if (running === MOST_ASYNC) {
    waiting.push(start);
    return;
  }
  running += 1;
  start();
}

function end(): void {
  running -= 1;
  const next = waiting.shift();
  if (next !== undefined) begin(next);
}

/** Runs a call of `libbpf()` or `libc()` on a worker thread, in its turn; its arguments are kept alive until it is done. */
export function callAsync<A extends unknown[]>(call: (...args: A) => number, ...args: A): Promise<number> {
  // koffi's functions have it, and the types of `libbpf()` and `libc()` do not say so
  const { async: start } = call as unknown as { async: (...args: unknown[]) => void };
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: number): void => {
      end();
      if (error) reject(error);
      else resolve(result);
    };
    begin(() => start(...args, done));
  });
}

/** Calls back from the event loop whenever the descriptor is readable, until disposed. Does not keep Node alive. */
export function onReadable(fd: number, callback: () => void): Disposable {
  const handle = koffi.node.poll(fd, { readable: true }, callback);
  handle.unref();
  return { [Symbol.dispose]: () => handle.close() };
}
