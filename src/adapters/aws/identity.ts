// Who this region is. A table that was restored from a backup, or made anew, has forgotten dots that the region issued;
// going on under the same actor would issue them again. What no copy carries is the table's id: it is the incarnation.

import { DescribeTableCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ArchipelError } from '../../core/errors.ts';
import { INCARNATION_DIGITS } from './actors.ts';

/** @throws ArchipelError `storage-unavailable`: an actor that is only guessed issues no dots */
export async function incarnationOf(client: DynamoDBClient, TableName: string): Promise<string> {
  const { Table } = await client.send(new DescribeTableCommand({ TableName }));
  const id = Table?.TableId?.replaceAll(/[^0-9a-f]/g, '') ?? '';
  if (id.length < INCARNATION_DIGITS) throw new ArchipelError('storage-unavailable', 'The table does not say its id.');
  return id.slice(0, INCARNATION_DIGITS);
}
