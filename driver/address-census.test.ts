import assert from 'node:assert/strict';
import { test } from 'node:test';
import { censusOf } from './address-census.ts';

test('a census names subnets, gateways, auxiliary addresses and containers, whatever is missing', () => {
  const census = censusOf([
    {
      IPAM: {
        Config: [
          { Subnet: '172.30.0.0/16', Gateway: '172.30.0.1', AuxiliaryAddresses: { printer: '172.30.0.9' } },
        ],
      },
      Containers: { a: { IPv4Address: '172.30.0.2/32', IPv6Address: '' } },
    },
    { IPAM: { Config: null }, Containers: null },
    {},
  ]);
  assert.deepEqual(census, {
    subnets: ['172.30.0.0/16'],
    addresses: ['172.30.0.1', '172.30.0.9', '172.30.0.2'],
  });
});

test('a network of the swarm that this host has no part of uses nothing here', () => {
  const IPAM = { Config: [{ Subnet: '10.88.0.0/24', Gateway: '10.88.0.1' }] };
  assert.deepEqual(censusOf([{ Scope: 'swarm', IPAM, Containers: null }]), { subnets: [], addresses: [] });
  const { subnets } = censusOf([{ Scope: 'swarm', IPAM, Containers: {} }]);
  assert.deepEqual(subnets, ['10.88.0.0/24']);
});
