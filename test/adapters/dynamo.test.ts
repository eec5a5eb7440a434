import { afterAll, beforeAll, describe, it } from 'vitest';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { nodeRandom } from '../../src/adapters/node/crypto.ts';
import { HastyClock, hasDynoxide, makeTable, NO_DYNOXIDE, startDynoxide, type Emulator } from '../contract/emulators.ts';
import { tableContract } from '../contract/table-suite.ts';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';

const SKIPS = [
  { name: /^digest/, reason: 'this table keeps no digests: both sides of a comparison scan' },
  { name: /^log/, reason: 'the change log on AWS is the table\'s stream' },
  { name: /^reopen/, reason: 'a process keeps nothing of this table that could be opened again' },
];

if (hasDynoxide) {
  let dynamo: Emulator<DynamoDBClient>;
  beforeAll(async () => {
    dynamo = await startDynoxide();
  });
  afterAll(() => dynamo.stop());

  tableContract(
    'dynamo',
    async () => {
      const tableName = await makeTable(dynamo.client);
      return { table: new DynamoTable({ client: dynamo.client, tableName, clock: new HastyClock(), random: nodeRandom }), close: async () => undefined };
    },
    SKIPS,
  );
} else {
  console.log(`Table: dynamo: skipped, ${NO_DYNOXIDE}`);
  describe.skip(`Table: dynamo (${NO_DYNOXIDE})`, () => it('runs', () => undefined));
}
