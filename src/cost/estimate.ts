// A workload in dollars. Units are counted (adapters/aws/units.ts), prices are listed (prices.ts); what is neither stands
// in ASSUMED: nothing of it has been measured in an account.

import { readUnits } from '../adapters/aws/units.ts';
import { COMPRESSED_BYTES_MIN, COMPRESSION_MAX, PAYS } from '../adapters/aws/compressed.ts';
import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import { dollarsFor, type PriceName } from './prices.ts';
import { distinctPart, itemOf, type Workload } from './workload.ts';

export interface Line {
  readonly what: string;
  readonly dollars: number;
}

export interface Estimate {
  readonly workload: Workload;
  /** Of a million writes: tables and replication, beside the same copies in a global table. */
  readonly writes: readonly Line[];
  readonly globalWrites: readonly Line[];
  /** Of a million reads. */
  readonly reads: readonly Line[];
  readonly globalReads: readonly Line[];
  /** Of a million requests, whatever they are: what answers them. A global table has to be put behind something too. */
  readonly doors: readonly Line[];
  /** What only happens at times, each by its own measure. */
  readonly apart: readonly Line[];
  /** Of a month without a request. */
  readonly idle: readonly Line[];
}

export const ASSUMED = {
  /** Partitions that the stream of a new on-demand table has; Lambda reads each four times a second. */
  streamPartitions: 4,
  pollsPerSecond: 4,
  /** As the stack sets it: records in one batch. */
  batchMax: 500,
  /** Durations: `api` answers; `fan-out` waits for other regions' queues; `apply` merges a message, and each record of it. */
  apiMs: 10,
  fanOutMs: 150,
  applyMs: 15,
  applyRecordMs: 2,
  edgeMs: 60,
  heartbeatMs: 200,
  /** Lambda keeps five long polls of 20 seconds open on each queue. */
  pollsPerQueueAndMinute: 15,
} as const;

const GB = 1024 ** 3;
const MILLION = 1_000_000;
const MINUTES_PER_MONTH = 43_800;
const TEXT_PER_BYTE = 4 / 3;
/** Of what a consistent read costs. */
const LAGGING = 0.5;
const [API_GB, EDGE_GB, QUEUE_GB] = [1, 0.25, 0.5] as const;

const run = (invocations: number, ms: number, memoryGb: number): number => dollarsFor(invocations, 'invocation') + dollarsFor((invocations * ms * memoryGb) / 1_000, 'armSecond');
const sumOf = (lines: readonly Line[]): number => lines.reduce((sum, { dollars }) => sum + dollars, 0);
export const total = sumOf;

/** What the alarms of one region's stack watch, and the metrics that its functions write; the templates are held to both. */
export const alarmMetricsOf = (regions: number): number => 24 + 5 * (regions - 1);
export const ownMetricsOf = (regions: number): number => 3 + 3 * (regions - 1);

export function estimate(workload: Workload): Estimate {
  const item = itemOf(workload);
  const { replicas } = workload;
  const bareUnits = Math.max(1, Math.ceil(item.bareBytes / 1_024));
  return {
    workload,
    writes: writesOf(workload),
    globalWrites: [
      { what: 'table, where it is written', dollars: dollarsFor(MILLION * bareUnits, 'writeUnit') },
      { what: 'tables, where it arrives', dollars: dollarsFor(MILLION * bareUnits * (replicas - 1), 'writeUnit') },
      { what: 'transfer between regions', dollars: dollarsFor((MILLION * (replicas - 1) * item.bareBytes) / GB, 'transfer') },
    ],
    reads: [{ what: 'table, consistent', dollars: dollarsFor(MILLION * item.units.get.read, 'readUnit') }],
    globalReads: [{ what: 'table, consistent', dollars: dollarsFor(MILLION * readUnits(item.bareBytes), 'readUnit') }],
    doors: [
      { what: 'api, behind its URL', dollars: run(MILLION, ASSUMED.apiMs, API_GB) },
      { what: 'CloudFront and the edge’s function, where used', dollars: dollarsFor(MILLION, 'edgeRequest') + dollarsFor(MILLION, 'edgeInvocation') + dollarsFor((MILLION * ASSUMED.edgeMs * EDGE_GB) / 1_000, 'edgeSecond') },
    ],
    apart: apartOf(workload),
    idle: idleOf(workload.regions),
  };
}

export interface Batch {
  /** That one invocation of fan-out is given. */
  readonly records: number;
  /** Those of them that it sends: the newest of each key. */
  readonly sent: number;
}

/**
 * How the writes of one region leave it. The first record of a batch opens its window, and what comes meanwhile joins it. A key
 * is always in the same partition of the stream, so that as many of its writes meet as if there were one partition.
 */
export function batchOf({ regions, writesPerSecond, skew, gatherSeconds }: Workload): Batch {
  const perSecond = writesPerSecond / regions / ASSUMED.streamPartitions;
  const windowSeconds = Math.max(gatherSeconds, 1 / ASSUMED.pollsPerSecond);
  const records = Math.min(ASSUMED.batchMax, 1 + perSecond * windowSeconds);
  return { records, sent: records * distinctPart(records * ASSUMED.streamPartitions, skew) };
}

/** Of one message between regions: its records, its bytes as text, and what is paid for it. */
export function messageOf({ compressesTo }: Workload, bytesEach: number, sent: number): { readonly records: number; readonly textBytes: number; readonly requests: number } {
  const shrunk = compressesTo <= PAYS ? compressesTo : 1;
  const roomBytes = MESSAGE_BYTES_PACKED / TEXT_PER_BYTE;
  const records = Math.max(1, Math.min(sent, Math.floor(roomBytes / (shrunk * bytesEach)), Math.floor((COMPRESSION_MAX * roomBytes) / bytesEach)));
  // A little is not worth compressing.
  const bytes = records * bytesEach * (records * bytesEach < COMPRESSED_BYTES_MIN ? 1 : shrunk);
  const textBytes = bytes * TEXT_PER_BYTE;
  // Sent, received and acknowledged. One that is larger than 64 KiB of text counts as several.
  return { records, textBytes, requests: 2 * Math.ceil(textBytes / 65_536) + 1 };
}

function writesOf(workload: Workload): Line[] {
  const { units, sentBytes } = itemOf(workload);
  const peers = workload.replicas - 1;
  const { records, sent } = batchOf(workload);
  const batches = MILLION / records;
  const arriving = (MILLION * sent) / records;
  const message = messageOf(workload, sentBytes, sent);
  const messages = (peers * arriving) / message.records;
  return [
    { what: 'table, where it is written', dollars: dollarsFor(MILLION * units.put.write, 'writeUnit') + dollarsFor(MILLION * units.put.read, 'readUnit') },
    { what: 'tables, where it arrives', dollars: dollarsFor(peers * arriving * units.apply.write, 'writeUnit') },
    { what: 'fan-out', dollars: peers === 0 ? 0 : run(batches, ASSUMED.fanOutMs, QUEUE_GB) },
    { what: 'queues', dollars: dollarsFor(messages * message.requests, 'queueRequest') },
    { what: 'apply', dollars: run(messages, ASSUMED.applyMs + ASSUMED.applyRecordMs * message.records, QUEUE_GB) },
    { what: 'transfer between regions', dollars: dollarsFor((messages * message.textBytes) / GB, 'transfer') },
  ];
}

function apartOf(workload: Workload): Line[] {
  const { units } = itemOf(workload);
  const { replicas } = workload;
  const cost = ({ read, write }: { readonly read: number; readonly write: number }): number => dollarsFor(MILLION * read, 'readUnit') + dollarsFor(MILLION * write, 'writeUnit');
  // Beaten in the region of the winner, replaced in all others at most; an apply is paid for already.
  const conflicts = replicas < 2 ? 0 : cost(units.beaten) + (replicas - 1) * cost(units.replaced) - (replicas - 1) * cost(units.apply);
  const scan = dollarsFor(readUnits(GB), 'readUnit');
  return [
    { what: 'a million conflicts, with their rows in the ledger of every region', dollars: conflicts },
    { what: 'a million more deliveries of what is known', dollars: dollarsFor(MILLION * units.apply.write, 'writeUnit') },
    { what: 'reconciliation, for each pair and GB: both copies read once', dollars: 2 * scan * LAGGING },
    { what: 'reaping, for each region and GB: its copy read once', dollars: scan },
    { what: 'a GB stored for a month in all its regions, with recovery', dollars: replicas * (dollarsFor(1, 'stored') + dollarsFor(1, 'recovery')) },
  ];
}

function idleOf(regions: number): Line[] {
  const peers = regions - 1;
  const parts = ASSUMED.streamPartitions;
  const month = (perMinute: number): number => perMinute * MINUTES_PER_MONTH;
  const line = (what: string, dollarsPerRegion: number): Line => ({ what, dollars: regions * dollarsPerRegion });
  const priced = (count: number, name: PriceName): number => dollarsFor(count, name);
  return [
    line('queues that are asked: inbox and hints', priced(month(ASSUMED.pollsPerQueueAndMinute) * (1 + peers), 'queueRequest')),
    line('heartbeat, and the peers that answer', priced(month(1), 'schedule') + run(month(1), ASSUMED.heartbeatMs, QUEUE_GB) + run(month(peers), ASSUMED.apiMs, API_GB)),
    // For each part of the stream: a milestone, fan-out called for it, that it was passed, this read; and the document that remembers them.
    line('live RPO, counted each minute', priced(month(2 * parts + 1), 'writeUnit') + priced(month(parts + 1), 'readUnit') + priced(month(2 * parts), 'streamRead') + run(month(parts), ASSUMED.fanOutMs, QUEUE_GB)),
    line('alarms', priced(alarmMetricsOf(regions), 'alarm')),
    line('metrics of our own, and the dashboard', priced(ownMetricsOf(regions), 'metric') + priced(1, 'dashboard')),
  ];
}
