/** Which events a client wants; judged on the bare event, before anything is looked up. */
import type { api } from '../base/index.ts';
import { EVENT_DROP, EVENT_TRACE, EVENT_VERDICT, type FlowEvent } from './event.ts';

/** Absent members do not restrict; present ones are all asked for. */
export interface FlowFilter {
  types?: readonly api.FlowType[];
  from?: number;
  to?: number;
  relatedTo?: number;
}

const TYPE_NUMBERS: Record<api.FlowType, number> = {
  drop: EVENT_DROP,
  trace: EVENT_TRACE,
  'policy-verdict': EVENT_VERDICT,
};

/** A predicate, so that a busy ring pays only for what the filter names. */
export function compileFilter(filter: FlowFilter): (event: FlowEvent) => boolean {
  const types = filter.types?.map((type) => TYPE_NUMBERS[type]);
  const { from, to, relatedTo } = filter;
  return (event) =>
    (types === undefined || types.includes(event.type)) &&
    (from === undefined || event.sourceEndpoint === from) &&
    (to === undefined || event.destinationEndpoint === to) &&
    (relatedTo === undefined ||
      event.sourceEndpoint === relatedTo ||
      event.destinationEndpoint === relatedTo);
}
