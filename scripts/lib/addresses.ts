// The last step of a deployment: the URLs that AWS has made up for the regions go into the table of each.

import { readFileSync } from 'node:fs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { HOST_OUTPUT, type Deployment } from '../../cdk/deployment.ts';
import { keepAddresses, type Addresses } from '../../functions/commons/addresses.ts';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { NodeClock } from '../../src/adapters/node/clock.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';

/** As `cdk deploy --outputs-file` writes it. */
type Outputs = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;

/** @throws Error when a stack does not say where its region is */
export function addressesIn(file: string, { name, regions }: Deployment): Addresses {
  const outputs = JSON.parse(readFileSync(file, 'utf8')) as Outputs;
  return Object.fromEntries(
    regions.map((region) => {
      const host = outputs[`${name}-${region}`]?.[HOST_OUTPUT];
      if (host === undefined) throw new Error(`The stack ${name}-${region} does not say where its region is reached.`);
      return [region, `https://${host}`];
    }),
  );
}

/** With the credentials of the environment, as the CDK. */
export async function tellAddresses({ name, regions }: Deployment, addresses: Addresses): Promise<void> {
  for (const region of regions) {
    const client = new DynamoDBClient({ region, ...CLIENT_SETTINGS });
    try {
      await keepAddresses(new DynamoTable({ client, tableName: names.table(name, region), clock: new NodeClock(), random: nodeRandom }), addresses);
    } finally {
      client.destroy();
    }
  }
}
