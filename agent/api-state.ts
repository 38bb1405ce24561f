/** What the API asks of the agent: one method per question, answered in the shapes of openapi.yaml. */
import type { api } from '../base/index.ts';
import type { FlowFilter, FlowSink, FlowSubscription } from '../observe/index.ts';

export type Answer<T> = T | Promise<T>;

/**
 * The agent as the API sees it. What it throws reaches the client as one line: UserError as 400, or 404 where the
 * code ends in _NOT_FOUND; HostError and whatever is retryable as 503; anything else as 500, and into the log.
 */
export interface AgentState {
  status(): Answer<api.Status>;
  version(): Answer<api.Version>;
  config(): Answer<api.Setting[]>;
  /** The settings after the change. */
  setConfig(options: api.Options): Answer<api.Setting[]>;
  endpoints(): Answer<api.Endpoint[]>;
  /** Options of one endpoint, by Docker's id. */
  endpointOptions(key: string): Answer<api.Options>;
  /** In force and durable when it resolves. */
  setEndpointOptions(key: string, options: api.Options): Answer<api.Options>;
  identities(): Answer<api.Identity[]>;
  /** The rules that carry all of `labels`; every rule if there are none. */
  policy(labels: string[]): Answer<api.Policy>;
  /** All files or none; resolves when the revision is enforced and durable. */
  importPolicy(files: api.PolicySource[], options: { replaceAll: boolean }): Answer<api.Revision>;
  /** Deletes the rules that carry all of `labels`. Throws POLICY_NOT_FOUND if there is none. */
  deletePolicy(which: { labels: string[] } | 'all'): Answer<api.Revision>;
  /** Throws what `importPolicy` would throw. */
  validatePolicy(files: api.PolicySource[]): Answer<api.Validation>;
  /** Throws what `importPolicy` would throw; changes nothing. */
  previewPolicy(files: api.PolicySource[], options: { replaceAll: boolean }): Answer<api.PolicyPreview>;
  /** Without ports: any port. */
  tracePolicy(query: Required<api.TraceRequest>): Answer<api.TraceResult>;
  /** Resolves when the revision is enforced, at the timeout, or soon after `signal` (the client left). */
  waitRevision(revision: number, timeoutMs: number, signal: AbortSignal): Answer<api.Wait>;
  networks(): Answer<api.Network[]>;
  ipam(): Answer<api.Pool[]>;
  ips(): Answer<api.Address[]>;
  services(): Answer<api.Service[]>;
  /** The maps of the datapath as they are, not as they should be. */
  bpf: {
    policy(subjectIdentity?: number): Answer<api.BpfPolicyEntry[]>;
    ct(): Answer<api.BpfConnection[]>;
    ipcache(): Answer<api.BpfIpcacheEntry[]>;
    endpoint(): Answer<api.BpfEndpoint[]>;
    lb(): Answer<api.BpfService[]>;
    metrics(): Answer<api.BpfMetric[]>;
  };
  /** `Monitor.subscribe`. */
  flows(filter: FlowFilter, sink: FlowSink): FlowSubscription;
}
