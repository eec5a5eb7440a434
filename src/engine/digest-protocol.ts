// The questions of a reconciliation, in bytes. A comparison descends only where sums differ:
//
//   root      "this is my sum over all that we share"      -> yours; where it differs, the sums of the shared partitions, and a
//                                                           small sketch that names the leaves, where few differ
//   sketch    "and one of so many cells"                   -> that
//   branches  of these partitions                          -> 32 sums each
//   leaves    of these branches                            -> 32 sums each
//   items     "these items are in my leaf"                 -> those that differ; a large leaf is compared by ranges first
//
// Which partitions "we share" each side computes from the topology and the groups that the question names.
//
// Every question names the time at which expiry is judged, so that one that reaches another process of the same region
// (Lambda) is answered there alike.

import { ByteReader, ByteWriter, fromHex, toHex } from '../core/bytes.ts';
import { asGroupId, type GroupId, type PartitionId } from '../core/keys/item-key.ts';
import type { Fingerprint, Sum } from '../core/merkle/digest.ts';
import { Sketch } from '../core/merkle/sketch.ts';

export interface BranchRef {
  readonly group: GroupId;
  readonly partition: PartitionId;
}

export interface LeafRef extends BranchRef {
  /** Of a branch, or of a leaf within the partition. */
  readonly index: number;
}

/** A half-open stretch of one leaf, in key order: after `from` (undefined: from the start), up to and including `to`. */
export interface Stretch {
  readonly leaf: LeafRef;
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
}

/** What the asker holds in a stretch: every item, or only their sum. */
export interface StretchQuestion extends Stretch {
  readonly mine:
    | { readonly type: 'list'; readonly items: readonly Fingerprint[] }
    /** The same without their keys, a fifth of the bytes. */
    | { readonly type: 'sums'; readonly sums: readonly Sum[] }
    | { readonly type: 'sum'; readonly sum: Sum };
}

export interface DifferingItem {
  readonly key: Uint8Array;
  /** The sum of the answering side; undefined when it holds nothing that counts. */
  readonly theirs: Sum | undefined;
  /** Milliseconds of the newest stamp that the answering side has for the item; 0 when it has no record. */
  readonly newestMs: number;
}

export type StretchAnswer =
  | { readonly type: 'equal' }
  | { readonly type: 'items'; readonly items: readonly DifferingItem[]; readonly more: boolean }
  /** To `sums`: what the answering side holds besides, and which of them, by their position, it does not. */
  | { readonly type: 'besides'; readonly items: readonly DifferingItem[]; readonly lacking: readonly number[]; readonly more: boolean }
  /** All that the answering side holds in the stretch: few, where the asker holds many. */
  | { readonly type: 'list'; readonly items: readonly DifferingItem[] }
  /** Too many to list: sums of smaller stretches, by their upper ends (the last is open). */
  | { readonly type: 'split'; readonly parts: readonly { readonly to: Uint8Array | undefined; readonly sum: Sum }[] };

export type DigestQuestion =
  | { readonly type: 'root'; readonly atMs: number; readonly deep: boolean; readonly groups: readonly GroupId[]; readonly mine: Sum; readonly withSketch?: boolean }
  | { readonly type: 'branches'; readonly atMs: number; readonly deep: boolean; readonly mayLag?: boolean; readonly partitions: readonly BranchRef[] }
  | { readonly type: 'leaves'; readonly atMs: number; readonly deep: boolean; readonly mayLag?: boolean; readonly branches: readonly LeafRef[] }
  | { readonly type: 'stretches'; readonly atMs: number; readonly deep: boolean; readonly mayLag?: boolean; readonly stretches: readonly StretchQuestion[] }
  | { readonly type: 'sketch'; readonly atMs: number; readonly deep: false; readonly groups: readonly GroupId[]; readonly cells: number };

export interface RootAnswer {
  readonly atMs: number;
  readonly sum: Sum;
  /** Where the sums differ: those of the shared partitions, in the order of groups and partitions. */
  readonly partitions: readonly Sum[];
  /** Groups of the question that are not known there. */
  readonly unknown: readonly GroupId[];
  /**
   * Of who was asked for it, knows it, and differs. The partitions' sums come folded then: which of them differ matters only
   * where the sketch names nothing. With the sums of the branches of the first partitions, folded as well.
   */
  readonly sketch?: { readonly leaves: Sketch; readonly branches: readonly Sum[] };
}

const TYPES = ['root', 'branches', 'leaves', 'stretches', 'sketch'] as const;
const DEEP = 1;
/** A region of an earlier release does not look at it. */
const WITH_SKETCH = 2;
/** One of an earlier release reads as it is, for more. */
const MAY_LAG = 4;
/** Of this many cells a megabyte is sent; where more differ, the sums of all leaves are not much more. */
export const CELLS_MAX = 80_000;

const sum = (out: ByteWriter, { high, low }: Sum): ByteWriter => out.u32(high).u32(low);
const readSum = (reader: ByteReader): Sum => ({ high: reader.u32(), low: reader.u32() });
/** Half of the bytes: where two that differ look alike once in 2^32, and that does no harm. */
export const folded = ({ high, low }: Sum): Sum => ({ high: 0, low: (high ^ low) >>> 0 });
const readFolded = (reader: ByteReader): Sum => ({ high: 0, low: reader.u32() });
const group = (out: ByteWriter, id: GroupId): ByteWriter => out.bytes(fromHex(id) as Uint8Array);
const readGroup = (reader: ByteReader): GroupId => asGroupId(toHex(reader.bytes(4)));

function list<T>(out: ByteWriter, items: readonly T[], write: (item: T) => void): void {
  out.varint(items.length);
  for (const item of items) write(item);
}

const readList = <T>(reader: ByteReader, read: () => T): T[] => Array.from({ length: reader.varint() }, read);

const branchRef = (out: ByteWriter, ref: BranchRef): ByteWriter => group(out, ref.group).u8(ref.partition);
const readBranchRef = (reader: ByteReader): BranchRef => ({ group: readGroup(reader), partition: reader.u8() });
const leafRef = (out: ByteWriter, ref: LeafRef): ByteWriter => branchRef(out, ref).u16(ref.index);
const readLeafRef = (reader: ByteReader): LeafRef => ({ ...readBranchRef(reader), index: reader.u16() });
const optional = (out: ByteWriter, bytes: Uint8Array | undefined): ByteWriter => (bytes === undefined ? out.u8(0) : out.u8(1).block(bytes));
const readOptional = (reader: ByteReader): Uint8Array | undefined => (reader.u8() === 0 ? undefined : reader.block());

export function encodeQuestion(question: DigestQuestion): Uint8Array {
  const withSketch = question.type === 'root' && question.withSketch === true;
  const flags = (question.deep ? DEEP : 0) | (withSketch ? WITH_SKETCH : 0) | (mayLag(question) ? MAY_LAG : 0);
  const out = new ByteWriter(1024).u8(TYPES.indexOf(question.type)).u8(flags).varint(question.atMs);
  switch (question.type) {
    case 'root':
      sum(out, question.mine);
      list(out, question.groups, (id) => group(out, id));
      break;
    case 'branches':
      list(out, question.partitions, (ref) => branchRef(out, ref));
      break;
    case 'leaves':
      list(out, question.branches, (ref) => leafRef(out, ref));
      break;
    case 'stretches':
      list(out, question.stretches, (stretch) => encodeStretch(out, stretch));
      break;
    case 'sketch':
      list(out.varint(question.cells), question.groups, (id) => group(out, id));
  }
  return out.finish();
}

/** What is scanned for it may be read as it was a moment ago (ScanQuery). */
export const mayLag = (question: DigestQuestion): boolean => 'mayLag' in question && question.mayLag === true;

function encodeStretch(out: ByteWriter, { leaf, from, to, mine }: StretchQuestion): void {
  optional(optional(leafRef(out, leaf), from), to);
  if (mine.type === 'sum') return void sum(out.u8(0), mine.sum);
  if (mine.type === 'sums') return list(out.u8(2), mine.sums, (each) => sum(out, each));
  list(out.u8(1), mine.items, (item) => sum(out.block(item.key), item.sum));
}

export function decodeQuestion(body: Uint8Array): DigestQuestion {
  const reader = new ByteReader(body);
  const type = TYPES[reader.u8()];
  const flags = reader.u8();
  const deep = (flags & DEEP) !== 0;
  const atMs = reader.varint();
  const how = { deep, atMs, ...((flags & MAY_LAG) === 0 ? {} : { mayLag: true }) };
  switch (type) {
    case 'root': {
      const mine = readSum(reader);
      return { type, deep, atMs, mine, groups: readList(reader, () => readGroup(reader)), withSketch: (flags & WITH_SKETCH) !== 0 };
    }
    case 'sketch': {
      const cells = reader.varint();
      if (cells > CELLS_MAX) throw new RangeError('Too large a sketch.');
      return { type, deep: false, atMs, cells, groups: readList(reader, () => readGroup(reader)) };
    }
    case 'branches':
      return { type, ...how, partitions: readList(reader, () => readBranchRef(reader)) };
    case 'leaves':
      return { type, ...how, branches: readList(reader, () => readLeafRef(reader)) };
    case 'stretches':
      return { type, ...how, stretches: readList(reader, () => decodeStretch(reader)) };
    default:
      throw new RangeError('Unknown question.');
  }
}

function decodeStretch(reader: ByteReader): StretchQuestion {
  const leaf = readLeafRef(reader);
  const from = readOptional(reader);
  const to = readOptional(reader);
  const type = reader.u8();
  if (type === 0) return { leaf, from, to, mine: { type: 'sum', sum: readSum(reader) } };
  if (type === 2) return { leaf, from, to, mine: { type: 'sums', sums: readList(reader, () => readSum(reader)) } };
  return { leaf, from, to, mine: { type: 'list', items: readList(reader, () => ({ key: reader.block(), sum: readSum(reader) })) } };
}

export function encodeRootAnswer(answer: RootAnswer): Uint8Array {
  const out = new ByteWriter(4096).varint(answer.atMs);
  sum(out, answer.sum);
  const { sketch } = answer;
  list(out, sketch === undefined ? answer.partitions : [], (each) => sum(out, each));
  list(out, answer.unknown, (id) => group(out, id));
  if (sketch === undefined) return out.finish();
  list(out, answer.partitions, (each) => out.u32(folded(each).low));
  list(out, sketch.branches, (each) => out.u32(folded(each).low));
  sketch.leaves.encode(out);
  return out.finish();
}

export function decodeRootAnswer(body: Uint8Array): RootAnswer {
  const reader = new ByteReader(body);
  const atMs = reader.varint();
  const total = readSum(reader);
  const answer = { atMs, sum: total, partitions: readList(reader, () => readSum(reader)), unknown: readList(reader, () => readGroup(reader)) };
  if (reader.left === 0) return answer;
  const partitions = readList(reader, () => readFolded(reader));
  return { ...answer, partitions, sketch: { branches: readList(reader, () => readFolded(reader)), leaves: Sketch.decode(reader) } };
}

export function encodeSums(sums: readonly Sum[]): Uint8Array {
  const out = new ByteWriter(sums.length * 8 + 8);
  list(out, sums, (each) => sum(out, each));
  return out.finish();
}

export function decodeSums(body: Uint8Array): Sum[] {
  const reader = new ByteReader(body);
  return readList(reader, () => readSum(reader));
}

export function encodeStretchAnswers(answers: readonly StretchAnswer[]): Uint8Array {
  const out = new ByteWriter(4096);
  list(out, answers, (answer) => {
    if (answer.type === 'equal') return void out.u8(0);
    if (answer.type === 'split') {
      out.u8(2);
      return list(out, answer.parts, ({ to, sum: each }) => sum(optional(out, to), each));
    }
    out.u8(answer.type === 'items' ? 1 : answer.type === 'list' ? 3 : 4);
    if (answer.type !== 'list') out.u8(answer.more ? 1 : 0);
    if (answer.type === 'besides') list(out, answer.lacking, (at) => out.varint(at));
    list(out, answer.items, ({ key, theirs, newestMs }) => {
      out.block(key).varint(newestMs).u8(theirs === undefined ? 0 : 1);
      if (theirs !== undefined) sum(out, theirs);
    });
  });
  return out.finish();
}

export function decodeStretchAnswers(body: Uint8Array): StretchAnswer[] {
  const reader = new ByteReader(body);
  return readList(reader, (): StretchAnswer => {
    const type = reader.u8();
    if (type === 0) return { type: 'equal' };
    if (type === 2) return { type: 'split', parts: readList(reader, () => ({ to: readOptional(reader), sum: readSum(reader) })) };
    const more = type !== 3 && reader.u8() === 1;
    const lacking = type === 4 ? readList(reader, () => reader.varint()) : [];
    const items = readList(reader, (): DifferingItem => {
      const key = reader.block();
      const newestMs = reader.varint();
      return { key, newestMs, theirs: reader.u8() === 0 ? undefined : readSum(reader) };
    });
    if (type === 4) return { type: 'besides', items, lacking, more };
    return type === 3 ? { type: 'list', items } : { type: 'items', items, more };
  });
}
