import type { api } from '../base/index.ts';
import type { Answers } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';

const network: api.Network = {
  id: 'a1b2c3d4e5f6a1b2c3d4',
  name: 'app-net',
  subnets: ['10.210.0.0/24', 'fd00::/64'],
  gateways: ['169.254.1.1'],
  isolation: 'network',
  internal: false,
  mtu: 1500,
  endpoints: 2,
};
const pool: api.Pool = {
  id: 'default',
  cidr: '10.210.0.0/16',
  range: '10.210.0.0/24',
  gateway: '',
  networks: ['app-net', 'back'],
  capacity: 254,
  allocated: 2,
  resting: 1,
};
const addresses: api.Address[] = [
  {
    cidr: '10.210.0.2/32',
    identity: 264,
    labels: ['container:id=app1'],
    containerName: 'app1',
    endpoint: 12,
  },
  { cidr: '0.0.0.0/0', identity: 2, labels: ['reserved:world'], containerName: '', endpoint: 0 },
];
const service: api.Service = {
  id: 3,
  protocol: 'TCP',
  frontend: { address: '::', port: 8080 },
  backends: [{ address: 'fd00::2', port: 80 }],
  network: 'app-net',
  containerId: 'c0ffee',
  containerName: 'app1',
  endpoint: 12,
};

const ANSWERS: Answers = {
  'GET /v1/networks': [network],
  'GET /v1/ipam': [pool, { ...pool, cidr: 'fd00::/48', range: 'fd00::/64', capacity: 2 ** 64 }],
  'GET /v1/ips': addresses,
  'GET /v1/services': [service],
  'GET /v1/services/3': service,
};

prints(ANSWERS, [
  {
    line: 'network list',
    out: `
NAME      ID             SUBNETS         GATEWAYS      ISOLATION   INTERNAL   MTU    ENDPOINTS
app-net   a1b2c3d4e5f6   10.210.0.0/24   169.254.1.1   network     no         1500   2
                         fd00::/64`,
  },
  {
    line: 'ipam list',
    out: `
POOL            RANGE           GATEWAY   NETWORKS   ALLOCATED   RESTING   CAPACITY
10.210.0.0/16   10.210.0.0/24             app-net    2           1         254
                                          back
fd00::/48       fd00::/64                 app-net    2           1         2^64
                                          back`,
  },
  {
    line: 'ip list',
    out: `
IP PREFIX/ADDRESS   IDENTITY   LABELS              ENDPOINT   CONTAINER
10.210.0.2/32       264        container:id=app1   12         app1
0.0.0.0/0           2          reserved:world`,
  },
  {
    line: 'service list',
    out: `
ID   FRONTEND    PROTOCOL   BACKEND        CONTAINER
3    [::]:8080   TCP        [fd00::2]:80   app1`,
  },
  {
    line: 'service get 3',
    out: `
Service:     3
Frontend:    [::]:8080/TCP
Backends:    [fd00::2]:80
Container:   app1
Network:     app-net
Endpoint:    12`,
  },
]);

printsJson(ANSWERS, [{ line: 'service list', want: [service] }]);
