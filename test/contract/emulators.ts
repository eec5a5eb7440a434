// AWS on the loopback interface: emulators that a test file starts itself, and stops.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { buildApp } from 'fauxqs';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import type { Cancel, Clock } from '../../src/ports/clock.ts';

const DYNOXIDE = fileURLToPath(new URL('../../node_modules/@dynoxide/linux-x64/dynoxide', import.meta.url));

/** Only one platform has the binary as a package. */
export const hasDynoxide = process.platform === 'linux' && process.arch === 'x64' && existsSync(DYNOXIDE);

export const NO_DYNOXIDE = 'there is no Dynoxide binary for this platform';

const CREDENTIALS = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, ...CLIENT_SETTINGS };

export interface Emulator<Client> {
  readonly client: Client;
  readonly endpoint: string;
  stop(): Promise<void>;
}

/** DynamoDB in memory, as a process of its own. */
export async function startDynoxide(): Promise<Emulator<DynamoDBClient>> {
  const port = await freePort();
  const child = spawn(DYNOXIDE, ['serve', '--host', '127.0.0.1', '--port', String(port)], { stdio: 'ignore' });
  while (!(await accepts(port))) if (child.exitCode !== null) throw new Error('Dynoxide did not start.');
  const end = (): void => void child.kill();
  process.once('exit', end);
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new DynamoDBClient({ ...CREDENTIALS, endpoint });
  return {
    client,
    endpoint,
    stop: async () => {
      client.destroy();
      process.off('exit', end);
      await stopped(child);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Refused at once while nobody listens, so asking again and again is waiting. */
const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

async function stopped(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill();
  await gone;
}

let made = 0;

/** A table of its own for each test, as the stack makes it. */
export async function makeTable(client: DynamoDBClient, TableName = `archipel-${++made}`): Promise<string> {
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
      AttributeDefinitions: [
        { AttributeName: 'PK', AttributeType: 'B' },
        { AttributeName: 'SK', AttributeType: 'B' },
      ],
      KeySchema: [
        { AttributeName: 'PK', KeyType: 'HASH' },
        { AttributeName: 'SK', KeyType: 'RANGE' },
      ],
    }),
  );
  return TableName;
}

/** SQS in this process, so that it shares the test's clock. */
export async function startFauxqs(): Promise<Emulator<SQSClient>> {
  const app = buildApp({ logger: false });
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' });
  const client = new SQSClient({ ...CREDENTIALS, ...SQS_CLIENT_SETTINGS, endpoint });
  return {
    client,
    endpoint,
    stop: async () => {
      client.destroy();
      await app.close();
    },
  };
}

export async function makeQueue(client: SQSClient, visibilityMs: number, QueueName = `archipel-${++made}`): Promise<string> {
  const { QueueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName, Attributes: { VisibilityTimeout: String(visibilityMs / 1_000) } }));
  return QueueUrl;
}

/** A clock on which every pause is over at once; it adds them up. */
export class HastyClock implements Clock {
  pausedMs = 0;
  pauses = 0;

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.pausedMs;
  }

  monotonicMs(): number {
    return this.pausedMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    this.pauses++;
    this.pausedMs += delayMs;
    const due = setImmediate(task);
    return () => clearImmediate(due);
  }
}
