// One region as its functions see it: table, clock, peers and the engine, put together once per environment. What the
// engine does by timers and behind answers on a machine is not begun here (`open`, not `start`): the stream's mapping
// calls `fan-out`, queues call `apply` and `forward`, schedules call the rest.

import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoTable } from '../../src/adapters/aws/dynamo-table.ts';
import { readDates } from '../../src/adapters/aws/dates.ts';
import { incarnationOf } from '../../src/adapters/aws/identity.ts';
import { LambdaClock } from '../../src/adapters/aws/lambda-clock.ts';
import { LambdaPeer } from '../../src/adapters/aws/lambda-peer.ts';
import { arns, names, queueUrl } from '../../src/adapters/aws/names.ts';
import { Milestones } from '../../src/adapters/aws/milestones.ts';
import { DynamoRequests } from '../../src/adapters/aws/requests.ts';
import { SqsDeadLetters } from '../../src/adapters/aws/sqs-dead-letters.ts';
import { SqsQueue } from '../../src/adapters/aws/sqs-queue.ts';
import { deriveKey, hmacSha256, nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { JsonLog } from '../../src/adapters/node/log.ts';
import type { KeyRing } from '../../src/auth/keys.ts';
import { utf8, utf8Text } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import { topologyFault, type Topology } from '../../src/core/placement/topology.ts';
import type { HashFunction } from '../../src/core/version/tag.ts';
import { keepDocument, readDocument } from '../../src/engine/documents.ts';
import type { PeerLink } from '../../src/engine/peer-link.ts';
import { Region } from '../../src/engine/region.ts';
import type { ChangeLog } from '../../src/ports/change-log.ts';
import type { Log } from '../../src/ports/log.ts';
import type { Cancel, Clock } from '../../src/ports/clock.ts';
import type { Table } from '../../src/ports/table.ts';
import { readAddresses, withAddresses } from './addresses.ts';
import { dynamoClient, lambdaCalls, sqsClient } from './clients.ts';
import { HintDepth } from './hint-depth.ts';
import { sealedLetter } from './messages.ts';
import { Meter } from './meter.ts';
import { Metrics } from './metrics.ts';
import { Mirror } from './mirror.ts';
import { firstTopology, peersOf, settingsOf, type Settings } from './settings.ts';
import type { Unread, UnreadParts } from './unread.ts';

export interface RegionOnLambda {
  readonly settings: Settings;
  readonly region: Region;
  readonly mirror: Mirror;
  readonly clock: LambdaClock;
  readonly log: Log;
  readonly meter: Meter;
  readonly metrics: Metrics;
  /** The table was restored from an older copy, and is not whole again: takes back what the peers hold. False when some could not give. */
  readonly takeBack: () => Promise<boolean>;
  readonly milestones: Milestones;
  /** Does the table still have the id that this environment's actor is made of? */
  readonly isSameTable: () => Promise<boolean>;
  /**
   * Runs one invocation: time is anchored before it, and nothing of it goes on behind the answer. A clock that is in doubt is
   * compared with the peers first, unless `isGreeting`: two that are in doubt would greet each other for ever.
   */
  readonly invoke: <T>(work: () => Promise<T>, how?: { readonly isGreeting: boolean }) => Promise<T>;
}

const TOPOLOGY = 'topology';
/** Of the table that is whole: a copy has the same document and another incarnation. */
const WHOLE = 'incarnation';
const HELLO_MS = 1_000;
/** Reaped lines, and what is paused, are read again after this long: before an invocation, and while it goes on. */
export const LINES_FRESH_MS = 10_000;
/** Then no environment holds an older line, be its table slow for a while. */
const LINE_SETTLES_MS = 30_000;
/** A wait of LINE_SETTLES_MS for each round is paid for, so a round is large: 6 MB of tombstones. */
const REAP_TOMBSTONES_MAX = 20_000;

export interface Opening {
  /** For the functions that answer clients. */
  readonly ring?: Promise<KeyRing>;
  /** Of the deployment, for the functions that compare copies. */
  readonly secret?: Promise<string>;
  /** For the functions that tell what the peers lack. */
  readonly unread?: (parts: Omit<UnreadParts, 'stream'> & { readonly dynamo: DynamoDBClient; readonly tableName: string }) => Unread;
}

export async function openRegion({ ring, secret, unread: unreadOf }: Opening = {}): Promise<RegionOnLambda> {
  const settings = settingsOf(process.env);
  const { deployment, region: id } = settings;
  const log = new JsonLog({ region: id, function: process.env['AWS_LAMBDA_FUNCTION_NAME'] });
  const clock = new LambdaClock();
  const dynamo = dynamoClient(id);
  readDates(dynamo, () => clock.wallMs(), (dated) => clock.compare(dated));
  const tableName = names.table(deployment, id);
  const meter = new Meter();
  const table = new DynamoTable({ client: dynamo, tableName, clock, random: nodeRandom, lossesKeptMs: settings.lossesKeptMs, onConsumed: meter.add, onCommit: (key, { state }) => mirror.learn(key, state) });
  const [incarnation, topology, addresses, whole, keys, shared] = await Promise.all([incarnationOf(dynamo, tableName), topologyOf(table, settings), readAddresses(table), wholeOf(table), ring, secret]);
  const peers = peersOf(settings).map((peer) => new LambdaPeer(peer, { lambda: lambdaCalls(peer), functionArn: arns.function(settings, 'peer', peer) }));
  const sqs = sqsClient(id);
  const dead = { client: sqs, queueUrl: queueUrl(settings, id, names.dead(deployment, id)), unsealed: sealedLetter };
  const letters = new Map([id, ...peers.map((peer) => peer.id)].map((from) => [from, new SqsDeadLetters(from === id ? dead : { ...dead, from })]));
  const region = new Region({
    id,
    incarnation,
    isNew: false,
    drawIncarnation: () => Promise.reject(new ArchipelError('internal', 'The incarnation on AWS is the table’s.')),
    topology: withAddresses(topology, addresses),
    table,
    changes: unreadOf === undefined ? THE_STREAM : { ...THE_STREAM, unread: async (peer): Promise<number> => (await unread?.towards(peer)) ?? 0 },
    peers,
    hints: (peer) => new HintDepth(new SqsQueue({ client: sqs, queueUrl: queueUrl(settings, id, names.hints(deployment, id, peer)) })),
    deadLetters: (from) => letters.get(from) ?? new SqsDeadLetters(dead),
    clock,
    random: nodeRandom,
    log,
    hash: sha256,
    digestHash: shared === undefined ? noDigests : hmacSha256(deriveKey(utf8(shared), 'digest')),
    reconcileEveryMs: undefined,
    lineSettlesMs: LINE_SETTLES_MS,
    reapTombstonesMax: REAP_TOMBSTONES_MAX,
  });
  const mirror = new Mirror({ catalog: region.catalog, keys, table, clock });
  const milestones = new Milestones(new DynamoRequests({ client: dynamo, tableName, clock, random: nodeRandom, onConsumed: meter.add }));
  const unread: Unread | undefined = unreadOf?.({ dynamo, tableName, table, milestones, clock, log, peers: peers.map((peer) => peer.id), holdersOf: (key) => region.catalog.holdersOf(key), policiesOf: (of) => mirror.collectionsOf(of) });
  region.open(whole === undefined || whole === incarnation ? 'whole' : 'restored');
  const common = new Common(region, clock, incarnation);
  await common.read();
  const invoke = async <T>(work: () => Promise<T>, { isGreeting } = { isGreeting: false }): Promise<T> => {
    clock.thaw();
    const stop = await common.keepFresh();
    try {
      if (region.time.status() === 'unsafe' && !isGreeting) await Promise.all([...region.links.values()].map((link) => hello(region, link)));
      return await work();
    } finally {
      stop();
      for (const peer of peers) peer.abandon();
    }
  };
  const takeBack = async (): Promise<boolean> => {
    if (region.phase === 'recovering') {
      await Promise.all([...region.links.values()].map((link) => hello(region, link)));
      await region.recovery.take();
      if (region.recovery.isPending) return false;
      region.takenBack();
    }
    if ((await wholeOf(table)) !== incarnation) await keepDocument(table, WHOLE, () => incarnation);
    await region.recovery.passOn(); // a peer that is not in reach now is compared by the schedule
    return true;
  };
  const isSameTable = async (): Promise<boolean> => (await incarnationOf(dynamo, tableName)) === incarnation;
  return { settings, region, mirror, clock, log, meter, metrics: new Metrics(settings), takeBack, isSameTable, milestones, invoke };
}

/** What environments of the region tell each other through its table: reaped lines, what is paused, and that a table which was restored is whole again. */
class Common {
  readonly #region: Region;
  readonly #clock: Clock;
  readonly #incarnation: string;
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(region: Region, clock: Clock, incarnation: string) {
    this.#region = region;
    this.#clock = clock;
    this.#incarnation = incarnation;
  }

  async read(): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    await Promise.all([this.#region.lines.load(), this.#region.loadPauses()]);
    if (this.#region.phase === 'recovering' && (await wholeOf(this.#region.parts.table)) === this.#incarnation) this.#region.takenBack();
    this.#readMs = startedMs;
  }

  /** Until it is stopped: one invocation may last longer than what it knows is good for. */
  async keepFresh(): Promise<Cancel> {
    if (this.#clock.monotonicMs() - this.#readMs >= LINES_FRESH_MS) await this.read();
    let cancel: Cancel = () => undefined;
    const next = (): void => {
      cancel = this.#clock.after(LINES_FRESH_MS, () => {
        this.read().catch(() => undefined); // a table that does not answer takes no commit either; the next try is in ten seconds
        next();
      });
    };
    next();
    return () => cancel();
  }
}

/** Which incarnation of the table has everything that the peers held. Undefined until `reconcile` has run once. */
const wholeOf = (table: Table): Promise<string | undefined> => readDocument<string>(table, WHOLE);

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

/** The log of the region is its table's stream, which Lambda reads (functions/fan-out.ts). What is still in it is counted (unread.ts). */
const THE_STREAM: ChangeLog = {
  read: async () => ({ entries: [], more: false }),
  subscribe: () => () => undefined,
  trim: () => undefined,
  trimmed: () => 0,
};

const noDigests: HashFunction = () => {
  throw new TypeError('This function was opened without the secret that digests are made with.');
};
