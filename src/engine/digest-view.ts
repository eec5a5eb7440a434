// Both sides of a comparison look at their own copy through a view: the digests as kept with the writes, or, for a deep
// check, sums made from the stored bytes by a scan that trusts no summary.

import { compareBytes } from '../core/bytes.ts';
import type { GroupId, ItemKey, PartitionId } from '../core/keys/item-key.ts';
import { addSums, BRANCHES, DigestTree, elementOf, formatSum, isZeroSum, leafOf, LEAVES_PER_BRANCH, sameSum, ZERO_SUM, type Fingerprint, type Sum } from '../core/merkle/digest.ts';
import { PARTITIONS } from '../core/limits.ts';
import { largestStampOf, type Record, type State } from '../core/version/record.ts';
import { stampMs } from '../core/version/stamp.ts';
import type { HashFunction } from '../core/version/tag.ts';
import type { Digests, Table } from '../ports/table.ts';
import { decodeKey } from '../core/keys/item-key.ts';
import { readRecord } from './soundness.ts';
import type { Scope } from './leaf-sketch.ts';
import type { BranchRef, DifferingItem, LeafRef, Stretch, StretchAnswer, StretchQuestion } from './digest-protocol.ts';

/** Up to this many items of a stretch are listed; more are summed by parts first. */
export const LIST_ITEMS_MAX = 64;
const SPLIT_PARTS = 16;
/** Differences named in one answer; the comparison is run again for the rest. */
export const DIFFERENCES_MAX = 4_096;

export interface View {
  /** The sum of all that is in these. */
  root(scopes: readonly Scope[]): Promise<Sum>;
  /** In the order of the scopes, and of the partitions in each. */
  partitions(scopes: readonly Scope[]): Promise<readonly Sum[]>;
  branches(ref: BranchRef): Promise<readonly Sum[]>;
  leaves(ref: LeafRef): Promise<readonly Sum[]>;
  items(ref: LeafRef): Promise<readonly Fingerprint[]>;
  newestMs(key: Uint8Array): Promise<number>;
}

export class KeptView implements View {
  readonly #digests: Digests;
  readonly #table: Table;

  constructor(table: Table, digests: Digests) {
    this.#table = table;
    this.#digests = digests;
  }

  async root(scopes: readonly Scope[]): Promise<Sum> {
    return scopes.reduce((sum, { group, partitions }) => addSums(sum, this.#digests.root(group, partitions)), ZERO_SUM);
  }

  async partitions(scopes: readonly Scope[]): Promise<readonly Sum[]> {
    return scopes.flatMap(({ group, partitions }) => partitions.map((partition) => this.#digests.partition(group, partition)));
  }

  async branches({ group, partition }: BranchRef): Promise<readonly Sum[]> {
    return this.#digests.branches(group, partition);
  }

  async leaves({ group, partition, index }: LeafRef): Promise<readonly Sum[]> {
    return this.#digests.leaves(group, partition, index);
  }

  items({ group, partition, index }: LeafRef): Promise<readonly Fingerprint[]> {
    return this.#digests.fingerprints(group, partition, index);
  }

  newestMs(key: Uint8Array): Promise<number> {
    return newestOf(this.#table, key);
  }
}

async function newestOf(table: Table, encoded: Uint8Array): Promise<number> {
  const key = decodeKey(encoded);
  const record = key === undefined ? undefined : await readRecord(table, key);
  return record === undefined || record === 'unreadable' ? 0 : stampMs(largestStampOf(record.state));
}

/** A stored item that is not what was written: its value does not have the hash that was stored with it. */
export interface Corruption {
  readonly key: ItemKey;
  readonly group: GroupId;
  readonly partition: PartitionId;
}

/** Sums made from the stored bytes. A partition is scanned when it is first asked for. */
export class DeepView implements View {
  readonly lineMs: number;
  readonly mayLag: boolean;
  readonly #table: Table;
  readonly #hash: HashFunction;
  readonly #keyedHash: HashFunction;
  readonly #trees = new Map<GroupId, DigestTree>();
  readonly #scanned = new Map<string, Promise<void>>();
  readonly #lists = new Map<string, Fingerprint[]>();
  readonly corrupt: Corruption[] = [];
  /** Partitions in which the digests kept with the writes are not those of the bytes. */
  readonly wrongDigests: BranchRef[] = [];
  records = 0;

  constructor(table: Table, lineMs: number, hash: HashFunction, keyedHash: HashFunction, { mayLag } = { mayLag: false }) {
    this.#table = table;
    this.lineMs = lineMs;
    this.mayLag = mayLag;
    this.#hash = hash;
    this.#keyedHash = keyedHash;
  }

  #tree(group: GroupId): DigestTree {
    let tree = this.#trees.get(group);
    if (tree === undefined) this.#trees.set(group, (tree = new DigestTree()));
    return tree;
  }

  #scan(group: GroupId, partition: PartitionId): Promise<void> {
    const name = `${group}.${partition}`;
    let scan = this.#scanned.get(name);
    if (scan === undefined) this.#scanned.set(name, (scan = this.#scanPartition(group, partition)));
    return scan;
  }

  async #scanPartition(group: GroupId, partition: PartitionId): Promise<void> {
    const keptBefore = this.#table.digests?.partition(group, partition);
    const tree = this.#tree(group);
    for (let after: Uint8Array | undefined; ; ) {
      const page = await this.#table.scan({ group, partition, limit: 500, bytesMax: 1 << 20, ...(this.mayLag ? { mayLag: true } : {}), ...(after === undefined ? {} : { after }) });
      for (const { key, record } of page.items) this.#add(tree, key, record);
      if (page.cursor === undefined) break;
      after = page.cursor;
    }
    const keptAfter = this.#table.digests?.partition(group, partition);
    const isQuiet = keptBefore !== undefined && keptAfter !== undefined && sameSum(keptBefore, keptAfter);
    if (isQuiet && !sameSum(keptAfter, tree.partition(partition)) && !this.corrupt.some((each) => each.group === group && each.partition === partition)) {
      this.wrongDigests.push({ group, partition });
    }
  }

  #add(tree: DigestTree, key: ItemKey, record: Record): void {
    this.records++;
    const state = this.#rehashed(record.state);
    if (state !== record.state) this.corrupt.push({ key, group: key.group, partition: key.encoded[4] as number });
    const sum = elementOf(key.encoded, state, this.lineMs, this.#keyedHash);
    if (isZeroSum(sum)) return;
    const leaf = leafOf(key.encoded);
    tree.add(key.encoded[4] as number, leaf, sum);
    const name = listName(key.group, key.encoded[4] as number, leaf);
    const list = this.#lists.get(name);
    if (list === undefined) this.#lists.set(name, [{ key: key.encoded, sum }]);
    else list.push({ key: key.encoded, sum });
  }

  /** The same object when every value has the hash that is stored with it. */
  #rehashed(state: State): State {
    const values = state.values.map(({ dot, value }) => ({ dot, value, hash: this.#hash(value.bytes).subarray(0, 8) }));
    if (values.every(({ value, hash }) => compareBytes(value.hash, hash) === 0)) return state;
    return { ...state, values: values.map(({ dot, value, hash }) => ({ dot, value: { ...value, hash } })) };
  }

  async root(scopes: readonly Scope[]): Promise<Sum> {
    return (await this.partitions(scopes)).reduce<Sum>(addSums, ZERO_SUM);
  }

  async partitions(scopes: readonly Scope[]): Promise<readonly Sum[]> {
    const sums: Sum[] = [];
    for (const { group, partitions } of scopes) {
      for (const partition of partitions) {
        await this.#scan(group, partition);
        sums.push(this.#tree(group).partition(partition));
      }
    }
    return sums;
  }

  async branches({ group, partition }: BranchRef): Promise<readonly Sum[]> {
    await this.#scan(group, partition);
    return this.#tree(group).branches(partition);
  }

  async leaves({ group, partition, index }: LeafRef): Promise<readonly Sum[]> {
    await this.#scan(group, partition);
    return this.#tree(group).leavesOf(partition, index);
  }

  async items({ group, partition, index }: LeafRef): Promise<readonly Fingerprint[]> {
    await this.#scan(group, partition);
    return this.#lists.get(listName(group, partition, index)) ?? [];
  }

  newestMs(key: Uint8Array): Promise<number> {
    return newestOf(this.#table, key);
  }
}

const listName = (group: GroupId, partition: PartitionId, leaf: number): string => `${group}.${partition}.${leaf}`;

export const isPartition = (partition: number): boolean => Number.isInteger(partition) && partition >= 0 && partition < PARTITIONS;

/** The branch of a leaf, and back. */
export const leafIndex = (branch: number, at: number): number => branch * LEAVES_PER_BRANCH + at;
export const branchCount = BRANCHES;

const within = ({ from, to }: Pick<Stretch, 'from' | 'to'>, key: Uint8Array): boolean =>
  (from === undefined || compareBytes(key, from) > 0) && (to === undefined || compareBytes(key, to) <= 0);

export async function itemsWithin(view: View, stretch: Stretch): Promise<readonly Fingerprint[]> {
  const items = await view.items(stretch.leaf);
  return stretch.from === undefined && stretch.to === undefined ? items : items.filter(({ key }) => within(stretch, key));
}

export const sumOf = (items: readonly Fingerprint[]): Sum => items.reduce<Sum>((total, { sum }) => addSums(total, sum), ZERO_SUM);

/** What to ask about a stretch: the items when they are few (or their sums, of whom that is enough for), else the sum of all. */
export function stretchQuestion(stretch: Stretch, items: readonly Fingerprint[], { takesSums }: { readonly takesSums: boolean }): StretchQuestion {
  if (items.length > LIST_ITEMS_MAX) return { ...stretch, mine: { type: 'sum', sum: sumOf(items) } };
  return { ...stretch, mine: takesSums ? { type: 'sums', sums: items.map(({ sum }) => sum) } : { type: 'list', items } };
}

/** The answering side. */
export async function answerStretch(view: View, question: StretchQuestion): Promise<StretchAnswer> {
  const items = await itemsWithin(view, question);
  if (question.mine.type === 'sum') {
    if (sameSum(question.mine.sum, sumOf(items))) return { type: 'equal' };
    if (items.length > LIST_ITEMS_MAX) return split(items, question.to);
    return { type: 'list', items: await dated(view, items.map(({ key, sum }) => ({ key, theirs: sum }))) };
  }
  if (question.mine.type === 'sums') return besides(view, items, question.mine.sums);
  const asked = new Map(question.mine.items.map(({ key, sum }) => [keyName(key), sum]));
  const held = new Map(items.map(({ key, sum }) => [keyName(key), sum]));
  const differing: { key: Uint8Array; theirs: Sum | undefined }[] = [];
  for (const { key, sum } of items) {
    const mine = asked.get(keyName(key));
    if (mine === undefined || !sameSum(mine, sum)) differing.push({ key, theirs: sum });
  }
  for (const { key } of question.mine.items) if (!held.has(keyName(key))) differing.push({ key, theirs: undefined });
  if (differing.length === 0) return { type: 'equal' };
  const named = differing.slice(0, DIFFERENCES_MAX);
  return { type: 'items', items: await dated(view, named), more: differing.length > named.length };
}

async function besides(view: View, items: readonly Fingerprint[], sums: readonly Sum[]): Promise<StretchAnswer> {
  const asked = new Set(sums.map(formatSum));
  const held = new Set(items.map(({ sum }) => formatSum(sum)));
  const mine = items.filter(({ sum }) => !asked.has(formatSum(sum))).map(({ key, sum }) => ({ key, theirs: sum }));
  const lacking = sums.flatMap((sum, at) => (held.has(formatSum(sum)) ? [] : [at]));
  if (mine.length === 0 && lacking.length === 0) return { type: 'equal' };
  const named = mine.slice(0, DIFFERENCES_MAX);
  return { type: 'besides', items: await dated(view, named), lacking, more: mine.length > named.length };
}

const dated = (view: View, items: readonly Omit<DifferingItem, 'newestMs'>[]): Promise<DifferingItem[]> =>
  Promise.all(items.map(async (each) => ({ ...each, newestMs: await view.newestMs(each.key) })));

const keyName = (key: Uint8Array): string => String.fromCharCode(...key);

function split(items: readonly Fingerprint[], to: Uint8Array | undefined): StretchAnswer {
  const size = Math.ceil(items.length / SPLIT_PARTS);
  const parts: { to: Uint8Array | undefined; sum: Sum }[] = [];
  for (let at = 0; at < items.length; at += size) {
    const part = items.slice(at, at + size);
    parts.push({ to: at + size >= items.length ? to : part.at(-1)?.key, sum: sumOf(part) });
  }
  return { type: 'split', parts };
}
