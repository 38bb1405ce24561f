/** What a map holds, in fields: of a map in the kernel, or of one that an object is about to make. */
import { Btf } from './btf.ts';
import type { Field } from './btf.ts';
import { expect } from './failure.ts';
import { libbpf, viewMemory, writePointer } from './libbpf.ts';
import type { Pointer } from './libbpf.ts';
import { closeFd } from './pin.ts';

export interface MapLayout {
  key: Field[];
  value: Field[];
}

/** Offsets in struct bpf_map_info. */
const MAP_INFO = { size: 80, btf: 64, key: 68, value: 72 } as const;
const BTF_INFO = { size: 32, length: 8 } as const;

function readInfo(fd: number, info: Buffer, what: string): void {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(info.length);
  expect(libbpf().bpf_obj_get_info_by_fd(fd, info, size), `read ${what}`);
}

function readBtf(id: number): Btf {
  const fd = expect(libbpf().bpf_btf_get_fd_by_id(id), `open BTF ${id}`);
  try {
    const info = Buffer.alloc(BTF_INFO.size);
    readInfo(fd, info, `the size of BTF ${id}`);
    const bytes = Buffer.alloc(info.readUInt32LE(BTF_INFO.length));
    writePointer(info, bytes, 0);
    readInfo(fd, info, `BTF ${id}`);
    return new Btf(bytes);
  } finally {
    closeFd(fd);
  }
}

/** Of a map in the kernel; undefined where it was made without a description. */
export function mapLayout(fd: number): MapLayout | undefined {
  const info = Buffer.alloc(MAP_INFO.size);
  readInfo(fd, info, 'the layout of a map');
  const id = info.readUInt32LE(MAP_INFO.btf);
  const [key, value] = [info.readUInt32LE(MAP_INFO.key), info.readUInt32LE(MAP_INFO.value)];
  if (id === 0 || key === 0) return undefined;
  const btf = readBtf(id);
  return { key: btf.fields(key), value: btf.fields(value) };
}

/** Of a map that an open object describes, loaded or not. */
export function describedLayout(object: Pointer, map: Pointer): MapLayout | undefined {
  const lib = libbpf();
  const described = lib.bpf_object__btf(object);
  const [key, value] = [lib.bpf_map__btf_key_type_id(map), lib.bpf_map__btf_value_type_id(map)];
  if (!described || key === 0) return undefined;
  const length = Buffer.alloc(4);
  const bytes = lib.btf__raw_data(described, length);
  if (!bytes) return undefined;
  const btf = new Btf(Buffer.from(viewMemory(bytes, length.readUInt32LE())));
  return { key: btf.fields(key), value: btf.fields(value) };
}

/** Names of the fields that differ, "value.low.mac"; none where both are the same or one is not known. */
export function layoutDifferences(one: MapLayout | undefined, other: MapLayout | undefined): string[] {
  if (one === undefined || other === undefined) return [];
  return (['key', 'value'] as const).flatMap((part) => {
    const known = new Set(other[part].map((field) => JSON.stringify(field)));
    const missing = one[part].filter((field) => !known.has(JSON.stringify(field)));
    const isSame = missing.length === 0 && one[part].length === other[part].length;
    const different = isSame || missing.length > 0 ? missing : other[part];
    return different.map(({ path }) => `${part}.${path}`);
  });
}
