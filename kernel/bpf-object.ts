/** A compiled object: opened from memory, its maps shared with what is pinned, its programs verified and loaded. */
import { dirname } from 'node:path';
import { BugError, HostError } from '../base/index.ts';
import { BpfMap, mapShape } from './bpf-map.ts';
import type { MapShape } from './bpf-map.ts';
import { expect, KernelError } from './failure.ts';
import { lastErrno, libbpf, writePointer } from './libbpf.ts';
import type { Pointer } from './libbpf.ts';
import { describedLayout, layoutDifferences, mapLayout } from './map-layout.ts';
import { closeFd, makeFolders, openPinned } from './pin.ts';
import { VerifierError } from './verifier-error.ts';

export interface LoadOptions {
  /** Shown in bpftool's lists and in errors. */
  name: string;
  /** Map name → path in a bpffs. What is pinned there is reused; a new map is pinned there. */
  mapPins?: Record<string, string>;
  /** Map name → size, in place of the one compiled in. */
  maxEntries?: Record<string, number>;
}

/** Room for one program's verifier log. Never touched, so never resident, unless the program is refused. */
const LOG_BYTES = 1 << 20;

function* walk(
  step: (object: Pointer, at: Pointer | null) => Pointer | null,
  object: Pointer,
): Generator<Pointer> {
  for (let at = step(object, null); at; at = step(object, at)) yield at;
}

function open(bytes: Buffer, name: string): Pointer {
  const title = Buffer.from(`${name}\0`);
  const options = Buffer.alloc(80); // struct bpf_object_open_opts of libbpf 1.0; later ones only append
  options.writeBigUInt64LE(80n);
  writePointer(options, title, 8);
  const object = libbpf().bpf_object__open_mem(bytes, bytes.length, options);
  if (!object) throw new KernelError(`open BPF object ${name}`, lastErrno());
  return object;
}

/** Differences that forbid sharing, in words: "max_entries 16, pinned 32". */
function differences(wanted: Omit<MapShape, 'name'>, pinned: MapShape): string[] {
  const fields = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const;
  const different = fields.filter((field) => wanted[field] !== pinned[field]);
  return different.map((field) => `${field} ${wanted[field]}, pinned ${pinned[field]}`);
}

/** libbpf would answer a mismatch of sizes with a bare EINVAL, and take fields of another order for what they are not. */
function checkPinned(object: Pointer, map: Pointer, [name, path]: [string, string]): void {
  const fd = openPinned(path, 'map');
  if (fd === undefined) return;
  try {
    const wanted = {
      type: libbpf().bpf_map__type(map),
      keySize: libbpf().bpf_map__key_size(map),
      valueSize: libbpf().bpf_map__value_size(map),
      maxEntries: libbpf().bpf_map__max_entries(map),
      flags: libbpf().bpf_map__map_flags(map),
    };
    const fields = layoutDifferences(describedLayout(object, map), mapLayout(fd));
    const found = [...differences(wanted, mapShape(fd)), ...fields];
    if (found.length === 0) return;
    const message = `map ${name} does not fit the one pinned at ${path}: ${found.join('; ')}`;
    throw new HostError('MAP_INCOMPATIBLE', message, {
      hint: 'remove the pin to start with an empty map, or keep the old size',
    });
  } finally {
    closeFd(fd);
  }
}

/** A loaded object. It owns its descriptors: maps and programs taken from it are closed with it, pins stay. */
export class BpfObject {
  readonly name: string;
  readonly #object: Pointer;
  readonly #maps = new Map<string, BpfMap>();
  readonly #programs = new Map<string, number>();

  private constructor(name: string, object: Pointer) {
    this.name = name;
    this.#object = object;
  }

  /**
   * Loads the bytes of an ELF object. All or nothing. Throws VerifierError where the kernel refuses a program, HostError
   * MAP_INCOMPATIBLE where a pinned map has another shape, KernelError for the rest. Takes some 10 ms.
   */
  static load(bytes: Buffer, options: LoadOptions): BpfObject {
    const object = new BpfObject(options.name, open(bytes, options.name));
    try {
      object.#prepareMaps(options);
      object.#load();
      object.#collect();
      return object;
    } catch (error) {
      object.close();
      throw error;
    }
  }

  map(name: string): BpfMap {
    const map = this.#maps.get(name);
    if (map === undefined) throw new BugError(`object ${this.name} has no map ${name}`);
    return map;
  }

  /** Descriptor of a program by its function's name. */
  program(name: string): number {
    const fd = this.#programs.get(name);
    if (fd === undefined) throw new BugError(`object ${this.name} has no program ${name}`);
    return fd;
  }

  close(): void {
    this.#maps.clear();
    this.#programs.clear();
    libbpf().bpf_object__close(this.#object);
  }

  #prepareMaps({ mapPins = {}, maxEntries = {} }: LoadOptions): void {
    const lib = libbpf();
    const known = new Map<string, Pointer>();
    for (const map of walk(lib.bpf_object__next_map, this.#object)) known.set(lib.bpf_map__name(map), map);
    const find = (name: string): Pointer => {
      const map = known.get(name);
      if (map === undefined) throw new BugError(`object ${this.name} has no map ${name}`);
      return map;
    };
    for (const [name, count] of Object.entries(maxEntries)) {
      expect(lib.bpf_map__set_max_entries(find(name), count), `size map ${name}`);
    }
    for (const [name, path] of Object.entries(mapPins)) {
      makeFolders(dirname(path));
      checkPinned(this.#object, find(name), [name, path]);
      expect(lib.bpf_map__set_pin_path(find(name), path), `pin map ${name} at ${path}`);
    }
  }

  #load(): void {
    const lib = libbpf();
    const logs = new Map<string, Buffer>();
    for (const program of walk(lib.bpf_object__next_program, this.#object)) {
      const log = Buffer.allocUnsafeSlow(LOG_BYTES);
      log[0] = 0;
      lib.bpf_program__set_log_buf(program, log, log.length);
      logs.set(lib.bpf_program__name(program), log);
    }
    const result = lib.bpf_object__load(this.#object);
    if (result >= 0) return;
    // A program is loaded without a log first and again with one only when refused: a log marks the culprit.
    const refused = [...logs].find(([, log]) => log[0] !== 0);
    if (refused === undefined) throw new KernelError(`load BPF object ${this.name}`, result);
    const [program, log] = refused;
    throw new VerifierError(`load program ${program}`, result, log.toString('latin1', 0, log.indexOf(0)));
  }

  #collect(): void {
    const lib = libbpf();
    for (const map of walk(lib.bpf_object__next_map, this.#object)) {
      const fd = lib.bpf_map__fd(map);
      this.#maps.set(lib.bpf_map__name(map), new BpfMap(fd));
    }
    for (const program of walk(lib.bpf_object__next_program, this.#object)) {
      this.#programs.set(lib.bpf_program__name(program), lib.bpf_program__fd(program));
    }
  }
}
