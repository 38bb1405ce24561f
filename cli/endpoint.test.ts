import type { Answers } from './fake-agent.ts';
import { prints, printsJson } from './golden.ts';
import { client, identities, web } from './sample.ts';

const ANSWERS: Answers = {
  'GET /v1/endpoints': [client, web],
  'GET /v1/endpoints?labels=id%3Dapp1': [web],
  'GET /v1/endpoints/12': web,
  'GET /v1/identities': identities,
  'GET /v1/identities?labels=id%3Dapp1': [identities[1]],
  'GET /v1/identities/264': identities[1],
};

prints(ANSWERS, [
  {
    line: 'endpoint list',
    out: `
ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY   LABELS (source:key[=value])   IPv6      IPv4         STATUS   CONTAINER
           ENFORCEMENT        ENFORCEMENT
4          Disabled (Audit)   Disabled          261        weir:network=app-net                    10.210.0.4   ready    app3
12         Enabled            Disabled          264        container:id=app1             fd00::2   10.210.0.2   ready    app1
                                                           weir:network=app-net`,
  },
  {
    line: 'endpoint list --no-headers -l id=app1',
    out: `
12   Enabled   Disabled   264   container:id=app1      fd00::2   10.210.0.2   ready   app1
                                weir:network=app-net`,
  },
  {
    line: 'endpoint get 12',
    out: `
Endpoint:          12
State:             ready
Container:         app1 c0ffee001122
Network:           app-net
Docker endpoint:   e0ffee001122
IPv4:              10.210.0.2
IPv6:              fd00::2
MAC:               02:42:0a:d2:00:02
Interface:         weir12
Identity:          264
Labels:            container:id=app1
                   weir:network=app-net
Policy ingress:    Enabled
Policy egress:     Disabled
Policy revision:   3`,
  },
  { line: `endpoint list -o jsonpath='{[*].id}'`, out: '\n4 12' },
  {
    line: 'identity list',
    out: `
ID    LABELS                 ENDPOINTS
1     reserved:host          0
264   container:id=app1      1
      weir:network=app-net`,
  },
  {
    line: 'identity get 264',
    out: `
Identity:    264
Labels:      container:id=app1
             weir:network=app-net
Endpoints:   1`,
  },
]);

printsJson(ANSWERS, [
  { line: 'endpoint list', want: [client, web] },
  { line: 'endpoint get 12', want: web },
  { line: 'endpoint get -l id=app1', want: [web] },
  { line: 'identity list id=app1', want: [identities[1]] },
  { line: 'identity get --label id=app1', want: [identities[1]] },
]);
