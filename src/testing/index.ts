// `archipel/testing`: what an application's own tests import.

export { withCluster, type TestFault, type WithClusterOptions } from './with-cluster.ts';
export { type TestCluster } from './test-cluster.ts';
export { forSeeds, type ForSeedsOptions } from './for-seeds.ts';
export { NotDeterministicError } from '../adapters/sim/forbid.ts';
export { Client } from '../client/client.ts';
export type * from '../client/types.ts';
