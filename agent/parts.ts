/** What a running agent is made of. Only agent.ts makes them; everything else here is handed them. */
import type { Datapath } from '../datapath/index.ts';
import type { DockerClient, Endpoints, Networks } from '../driver/index.ts';
import type { IdentityAllocator } from '../identity/index.ts';
import type { Ipam } from '../ipam/index.ts';
import type { Store } from '../kvstore/index.ts';
import type { Monitor } from '../observe/index.ts';
import type { AgentConfig } from './config.ts';
import type { Generations } from './flow-names.ts';
import type { PolicyRepository } from './policy-repository.ts';

export interface Parts {
  config: AgentConfig;
  store: Store;
  identities: IdentityAllocator;
  ipam: Ipam;
  datapath: Datapath;
  policy: PolicyRepository;
  networks: Networks;
  endpoints: Endpoints;
  docker: DockerClient;
  monitor: Monitor;
  generations: Generations;
  labelsOf: (identity: number) => string[];
}
