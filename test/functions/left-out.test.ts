// The client of DynamoDB as bundles have it, beside the SDK's own: what failures.ts reads of a refusal must be the same.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as whole from '@aws-sdk/client-dynamodb';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leftOut } from '../../cdk/left-out.ts';
import { CLIENT_SETTINGS, failureOf } from '../../src/adapters/aws/failures.ts';
import { CREDENTIALS } from '../../scripts/lib/functions-place.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
type Client = Pick<typeof whole, 'DynamoDBClient' | 'PutItemCommand'>;

const REFUSALS: readonly (readonly [status: number, type: string, more?: object])[] = [
  [400, 'ConditionalCheckFailedException', { Item: { PK: { B: 'AQI=' }, n: { N: '1' }, l: { L: [{ B: 'AA==' }] } } }],
  [400, 'TransactionCanceledException', { CancellationReasons: [{ Code: 'None' }, { Code: 'ConditionalCheckFailed', Message: 'no', Item: { v: { B: 'AQI=' } } }] }],
  ...['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded', 'LimitExceededException', 'TransactionConflictException', 'TransactionInProgressException', 'ValidationException', 'ItemCollectionSizeLimitExceededException', 'ResourceNotFoundException', 'ReplicatedWriteConflictException', 'AccessDeniedException', 'UnrecognizedClientException', 'NeverHeardOfException'].map((type) => [400, type] as const),
  ...['InternalServerError', 'ServiceUnavailable'].flatMap((type) => [[500, type] as const, [503, type] as const]),
];

describe('the client of DynamoDB in a bundle', () => {
  let folder: string;
  let server: Server;
  let less: Client;
  let said: readonly [status: number, body: string] = [200, '{}'];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'archipel-client-'));
    const outfile = join(folder, 'client.mjs');
    const stdin = { contents: "export { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';", resolveDir: ROOT };
    const commons = (file: string): string => join(ROOT, 'functions/commons', file);
    await build({ stdin, outfile, bundle: true, platform: 'node', format: 'esm', mainFields: ['module', 'main'], logLevel: 'error', plugins: [leftOut(['sdk'])], alias: { '@aws-sdk/credential-provider-node': commons('credentials.ts'), '@aws-sdk/endpoint-cache': commons('endpoint-cache.ts') } });
    less = createRequire(import.meta.url)(outfile) as Client;
    server = createServer((_, outgoing) => outgoing.writeHead(said[0], { 'content-type': 'application/x-amz-json-1.0' }).end(said[1]));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(() => {
    server.close().closeAllConnections();
    rmSync(folder, { recursive: true });
  });

  async function refusal({ DynamoDBClient, PutItemCommand }: Client): Promise<Readonly<Record<string, unknown>>> {
    const client = new DynamoDBClient({ region: 'eu-central-1', endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, credentials: CREDENTIALS, ...CLIENT_SETTINGS });
    const error = await client.send(new PutItemCommand({ TableName: 't', Item: { PK: { B: Uint8Array.of(1) } } })).catch((thrown: unknown) => thrown);
    client.destroy();
    const { name, message, $fault, $metadata, Item, CancellationReasons } = error as Record<string, unknown> & { readonly $metadata: { readonly httpStatusCode: number } };
    return { isError: error instanceof Error, failure: failureOf(error), name, message, $fault, status: $metadata.httpStatusCode, Item, CancellationReasons };
  }

  for (const [status, type, more] of REFUSALS) {
    it(`${status} ${type}: what is read of it`, async () => {
      said = [status, JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'refused', ...more })];
      expect(await refusal(less)).toEqual(await refusal(whole));
    });
  }
});
