// What every question and answer between regions carries besides its body: who speaks, its clock, and the topology that
// it works on. One line of JSON before the body: it is read by people in traces more often than its bytes cost anything.

import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import { ByteReader, ByteWriter, utf8, utf8Text } from '../core/bytes.ts';
import type { ClockStatus } from '../core/clock/clock-guard.ts';
import { ArchipelError, type ErrorCode } from '../core/errors.ts';
import type { SentReport } from '../core/health/report.ts';
import { judgeTopology, type Topology, type TopologyVerdict, type TopologyVersion } from '../core/placement/topology.ts';
import { FORMAT_VERSION, NewerFormatError } from '../core/version/codec.ts';
import { isRegionId, parseActor, type ActorId, type RegionId } from '../core/version/dot.ts';

export interface Envelope {
  readonly from: RegionId;
  readonly actor: ActorId;
  readonly wallMs: number;
  readonly clock: ClockStatus;
  readonly topology: TopologyVersion;
  /** What the sender holds may have been reaped elsewhere. */
  readonly isInDoubt?: boolean;
  /** How old the oldest change is that the sender has for the receiver, and the receiver has not acknowledged; absent for none. */
  readonly owesMs?: number;
  /** How often the sender has agreed that something be reaped, ever; absent for never. (A region of an earlier release does not say.) */
  readonly agreed?: number;
  /** Its pulse, and which regions it has heard. */
  readonly health?: SentReport;
  /** Of an answer to who works on an older one. */
  readonly document?: Topology;
  /** Of an answer: the region will not. */
  readonly refused?: { readonly code: ErrorCode; readonly message: string };
}

/** What of it depends on who it is for. */
export type EnvelopeNews = Pick<Envelope, 'owesMs' | 'health' | 'isInDoubt' | 'agreed'>;

export function seal(envelope: Envelope, body: Uint8Array): Uint8Array {
  const header = utf8(JSON.stringify(envelope));
  const lengthBytes = header.length < 0x80 ? 1 : header.length < 0x4000 ? 2 : 3;
  const out = new Uint8Array(1 + lengthBytes + header.length + body.length);
  out[0] = FORMAT_VERSION;
  let at = 1; // the length as ByteWriter's `varint`
  for (let rest = header.length; at <= lengthBytes; rest >>= 7) out[at++] = at <= lengthBytes ? (rest & 0x7f) | 0x80 : rest;
  out.set(header, at);
  out.set(body, at + header.length);
  return out;
}

/** Of a message that was made here: nothing is asked about it. */
export function bodyOf(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes, 1);
  reader.block();
  return reader.bytes(reader.left);
}

/** @throws NewerFormatError, or ArchipelError `bad-request` for bytes that are no message. */
export function unseal(bytes: Uint8Array): { readonly envelope: Envelope; readonly body: Uint8Array } {
  const version = bytes[0] ?? 0;
  if (version > FORMAT_VERSION) throw new NewerFormatError(version);
  try {
    const reader = new ByteReader(bytes, 1);
    const header = utf8Text(reader.block());
    if (version !== FORMAT_VERSION || header === undefined) throw new RangeError('Not a message.');
    return { envelope: asEnvelope(JSON.parse(header)), body: reader.bytes(reader.left) };
  } catch (error) {
    throw new ArchipelError('bad-request', 'Not a message between regions.', {}, error);
  }
}

const CLOCKS: readonly string[] = ['safe', 'starting', 'unsafe'] satisfies ClockStatus[];

/** Before anything of it is believed: a clock that is no number, or a topology without a number, compares with nothing. */
function asEnvelope(header: unknown): Envelope {
  const { from, actor, wallMs, clock, topology, owesMs = 0, agreed = 0 } = header as Envelope;
  const isWhole = isRegionId(from) && parseActor(actor) !== undefined && Number.isFinite(wallMs) && Number.isFinite(owesMs) && Number.isSafeInteger(agreed) && CLOCKS.includes(clock);
  if (!isWhole || !Number.isInteger(topology.term) || !Number.isInteger(topology.epoch) || typeof topology.identity !== 'string') throw new RangeError('Not an envelope.');
  return header as Envelope;
}

export const verdictOn = (envelope: Envelope, mine: TopologyVersion): TopologyVerdict => judgeTopology(mine, envelope.topology);

/** A state on its way, with the physical key that it lies under. Bytes as stored: nothing is decoded to be sent. */
export interface SentRecord {
  readonly key: Uint8Array;
  readonly state: Uint8Array;
}

export const sentBytes = (record: SentRecord): number => record.key.length + record.state.length + 6;

/** Parts of which each fits one message; of what alone is too large, a part of its own. */
export function* packed<T>(all: Iterable<T>, recordOf: (one: T) => SentRecord): Generator<T[]> {
  let part: T[] = [];
  let bytes = 0;
  for (const one of all) {
    const size = sentBytes(recordOf(one));
    if (part.length > 0 && bytes + size > MESSAGE_BYTES_PACKED) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(one);
    bytes += size;
  }
  if (part.length > 0) yield part;
}

export function encodeRecords(records: readonly SentRecord[]): Uint8Array {
  let size = 8;
  for (const record of records) size += sentBytes(record);
  const out = new ByteWriter(size).varint(records.length);
  for (const { key, state } of records) out.block(key).block(state);
  return out.finish();
}

export function decodeRecords(body: Uint8Array): SentRecord[] {
  const reader = new ByteReader(body);
  return Array.from({ length: reader.varint() }, () => ({ key: reader.block(), state: reader.block() }));
}

/** Undefined for bytes that are no list of records. */
export function recordsIn(body: Uint8Array): SentRecord[] | undefined {
  try {
    return decodeRecords(body);
  } catch {
    return undefined;
  }
}

/** What became of one sent record. Only `applied` and `dead` are final for the sender. `late`: somebody has to be asked first. */
export type Receipt = 'applied' | 'dead' | 'drift' | 'newer-format' | 'not-held' | 'failed' | 'late';

const RECEIPTS: readonly Receipt[] = ['applied', 'dead', 'drift', 'newer-format', 'not-held', 'failed', 'late'];

export const isFinal = (receipt: Receipt): boolean => receipt === 'applied' || receipt === 'dead';

/** Only what is not `applied` is named, so that the usual answer is one byte. */
export function encodeReceipts(receipts: readonly Receipt[]): Uint8Array {
  const named = receipts.flatMap((receipt, at) => (receipt === 'applied' ? [] : [[at, receipt] as const]));
  const out = new ByteWriter(16).varint(named.length);
  for (const [at, receipt] of named) out.varint(at).u8(RECEIPTS.indexOf(receipt));
  return out.finish();
}

export function decodeReceipts(body: Uint8Array, count: number): Receipt[] {
  const reader = new ByteReader(body);
  const receipts: Receipt[] = Array.from({ length: count }, () => 'applied');
  for (let left = reader.varint(); left > 0; left--) {
    const at = reader.varint();
    receipts[at] = RECEIPTS[reader.u8()] ?? 'failed';
  }
  return receipts;
}

