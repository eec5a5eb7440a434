// Where clients reach the regions: URLs of `api`, which AWS makes up. No region's stack can name another's, so the last step of a
// deployment writes all of them into each region's table, beside the topology. They are no part of a topology's identity:
// a region that does not know them yet agrees with one that does.

import type { Topology } from '../../src/core/placement/topology.ts';
import { keepDocument, readDocument } from '../../src/engine/documents.ts';
import type { Table } from '../../src/ports/table.ts';

/** By region: `https://abc.lambda-url.eu-central-1.on.aws`. */
export type Addresses = Readonly<Record<string, string>>;

const ADDRESSES = 'addresses';

export const readAddresses = async (table: Table): Promise<Addresses> => (await readDocument<Addresses>(table, ADDRESSES)) ?? {};

export const keepAddresses = (table: Table, addresses: Addresses): Promise<void> => keepDocument(table, ADDRESSES, () => addresses);

export const withAddresses = (topology: Topology, addresses: Addresses): Topology => ({
  ...topology,
  regions: topology.regions.map((entry) => {
    const url = addresses[entry.id];
    return url === undefined ? entry : { ...entry, url };
  }),
});
