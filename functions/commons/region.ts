// One region as its functions see it: table, clock, peers and the engine, put together once per environment. What the
// engine does by timers and behind answers on a machine is not begun here (`open`, not `start`): the stream's mapping
// calls `fan-out`, queues call `apply` and `forward`, schedules call the rest.

import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { incarnationOf } from '../../src/adapters/aws/identity.ts';
import { LambdaClock } from '../../src/adapters/aws/lambda-clock.ts';
import { LambdaPeer } from '../../src/adapters/aws/lambda-peer.ts';
import { arns, names, queueUrl } from '../../src/adapters/aws/names.ts';
import { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { deriveKey, hmacSha256, nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { JsonLog } from '../../src/adapters/node/log.ts';
import type { KeyRing } from '../../src/auth/keys.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import { topologyFault, type Topology } from '../../src/core/placement/topology.ts';
import type { HashFunction } from '../../src/core/version/tag.ts';
import type { PeerLink } from '../../src/engine/peer-link.ts';
import { Region } from '../../src/engine/region.ts';
import type { ChangeLog } from '../../src/ports/change-log.ts';
import type { Log } from '../../src/ports/log.ts';
import type { Queue } from '../../src/ports/queue.ts';
import type { Table } from '../../src/ports/table.ts';
import { dynamoClient, lambdaClient, sqsClient } from './clients.ts';
import { Meter } from './meter.ts';
import { Metrics } from './metrics.ts';
import { Mirror } from './mirror.ts';
import { firstTopology, peersOf, settingsOf, type Settings } from './settings.ts';

export interface RegionOnLambda {
  readonly settings: Settings;
  readonly region: Region;
  readonly mirror: Mirror;
  readonly clock: LambdaClock;
  readonly log: Log;
  readonly meter: Meter;
  readonly metrics: Metrics;
  /** Does the table still have the id that this environment's actor is made of? */
  readonly isSameTable: () => Promise<boolean>;
  /** Runs one invocation: time is anchored before it, and nothing of it goes on behind the answer. */
  readonly invoke: <T>(work: () => Promise<T>) => Promise<T>;
}

const TOPOLOGY = 'topology';
const HELLO_MS = 1_000;
/** Reaped lines are read again after this long; an invocation lasts less than the rest of LINE_SETTLES_MS. */
const LINES_FRESH_MS = 10_000;
/** Then no environment holds an older line. */
const LINE_SETTLES_MS = 30_000;

export interface Opening {
  /** For the functions that answer clients. */
  readonly ring?: Promise<KeyRing>;
  /** Of the deployment, for the functions that compare copies. */
  readonly secret?: Promise<string>;
}

export async function openRegion({ ring, secret }: Opening = {}): Promise<RegionOnLambda> {
  const settings = settingsOf(process.env);
  const { deployment, region: id } = settings;
  const log = new JsonLog({ region: id, function: process.env['AWS_LAMBDA_FUNCTION_NAME'] });
  const clock = new LambdaClock();
  const dynamo = dynamoClient(id);
  const tableName = names.table(deployment, id);
  const meter = new Meter();
  const table = new DynamoTable({ client: dynamo, tableName, clock, random: nodeRandom, onConsumed: meter.add, onCommit: (key, { state }) => mirror.learn(key, state) });
  const [incarnation, topology, keys, shared] = await Promise.all([incarnationOf(dynamo, tableName), topologyOf(table, settings), ring, secret]);
  const peers = peersOf(settings).map((peer) => new LambdaPeer(peer, { client: lambdaClient(peer), functionArn: arns.function(settings, 'peer', peer) }));
  const letters = new SqsDeadLetters({ client: sqsClient(id), queueUrl: queueUrl(settings, id, names.dead(deployment, id)) });
  const region = new Region({
    id,
    incarnation,
    isNew: false,
    drawIncarnation: () => Promise.reject(new ArchipelError('internal', 'The incarnation on AWS is the table’s.')),
    topology,
    table,
    changes: THE_STREAM,
    peers,
    hints: () => NO_HINTS_HERE,
    deadLetters: () => letters,
    clock,
    random: nodeRandom,
    log,
    hash: sha256,
    digestHash: shared === undefined ? noDigests : hmacSha256(deriveKey(utf8(shared), 'digest')),
    reconcileEveryMs: undefined,
    lineSettlesMs: LINE_SETTLES_MS,
  });
  const mirror = new Mirror({ catalog: region.catalog, keys, table, clock });
  region.open();
  await region.lines.load();
  let linesMs = clock.monotonicMs();
  const invoke = async <T>(work: () => Promise<T>): Promise<T> => {
    clock.thaw();
    try {
      if (clock.monotonicMs() - linesMs >= LINES_FRESH_MS) {
        await region.lines.load();
        linesMs = clock.monotonicMs();
      }
      if (region.time.status() === 'unsafe') await Promise.all([...region.links.values()].map((link) => hello(region, link)));
      return await work();
    } finally {
      for (const peer of peers) peer.abandon();
    }
  };
  const isSameTable = async (): Promise<boolean> => (await incarnationOf(dynamo, tableName)) === incarnation;
  return { settings, region, mirror, clock, log, meter, metrics: new Metrics(settings), isSameTable, invoke };
}

/** The last document that the region's table was given, or the one that the deployment begins with. */
async function topologyOf(table: Table, { regions }: Settings): Promise<Topology> {
  const stored = await table.document(TOPOLOGY);
  if (stored === undefined) return firstTopology(regions);
  const topology = JSON.parse(utf8Text(stored.bytes) ?? '') as Topology;
  const fault = topologyFault(topology);
  if (fault !== undefined) throw new ArchipelError('internal', `The topology in the table cannot be put in force: ${fault}`);
  return topology;
}

/** True when the peer answered: the clocks are compared with it. */
export async function hello(region: Region, link: PeerLink): Promise<boolean> {
  try {
    await link.ask('hello', utf8(JSON.stringify({ actor: region.actor })), HELLO_MS);
    return true;
  } catch {
    return false;
  }
}

/** The log of the region is its table's stream, which Lambda reads (functions/fan-out.ts): nothing is to be had by asking. */
const THE_STREAM: ChangeLog = {
  read: async () => ({ entries: [], more: false }),
  subscribe: () => () => undefined,
  trim: () => undefined,
  trimmed: () => 0,
};

const notBuilt = (what: string): ArchipelError => new ArchipelError('not-built', `${what} on AWS is not built yet.`);

/** Lanes do not run here; what they would be asked for (how much waits for a peer) must not be answered with nothing. */
const NO_HINTS_HERE: Queue = {
  supports: { deduplicates: false, exactDepth: false, messageBytesMax: 0 },
  send: () => Promise.reject(notBuilt('Replication as one figure')),
  receive: () => Promise.reject(notBuilt('Replication as one figure')),
  acknowledge: () => Promise.reject(notBuilt('Replication as one figure')),
  retryLater: () => Promise.reject(notBuilt('Replication as one figure')),
  depth: () => Promise.reject(notBuilt('Replication as one figure')),
};

const noDigests: HashFunction = () => {
  throw new TypeError('This function was opened without the secret that digests are made with.');
};
