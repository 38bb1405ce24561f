/** How full the maps of the datapath are. */
import { SIZABLE } from '../bpf/index.ts';
import type { SizableMap } from '../bpf/index.ts';
import type { Datapath } from '../datapath/index.ts';

export interface Filling {
  name: SizableMap;
  used: number;
  size: number;
}

/** Counts the entries; some 30 ms for a full conntrack. */
export function fillingsOf({ object }: Pick<Datapath, 'object'>): Filling[] {
  return SIZABLE.map((name) => {
    const { map } = object.maps[name];
    const keys = map.keys();
    let used = 0;
    while (keys.next().done !== true) used += 1;
    return { name, used, size: map.maxEntries };
  });
}
