// A table in memory, for tests: the plainest thing that fulfils the contract. It shares no code with the durable one and
// computes every digest anew from the records, so that each is a check on the other.

import { compareBytes, equalBytes, toHex } from '../../core/bytes.ts';
import { partitionOf, type GroupId, type ItemKey, type PartitionId } from '../../core/keys/item-key.ts';
import { addSums, BRANCHES, DigestTree, elementOf, isZeroSum, leafOf, LEAVES_PER_BRANCH, ZERO_SUM, type Fingerprint, type Sum } from '../../core/merkle/digest.ts';
import { encodeState } from '../../core/version/codec.ts';
import { formatDot, sameDot, type ActorId } from '../../core/version/dot.ts';
import { headDot, holdsSeveral, type Record, type State } from '../../core/version/record.ts';
import { encodeLossRow, lossName } from '../../core/version/loss-row.ts';
import { isCandidate } from '../../core/version/reap.ts';
import { findOperation, joinOperations } from '../../core/version/operations.ts';
import { covers, type VersionVector } from '../../core/version/version-vector.ts';
import { STAMP_ZERO, type Stamp } from '../../core/version/stamp.ts';
import type { HashFunction } from '../../core/version/tag.ts';
import type { ChangeLog, LogEntry } from '../../ports/change-log.ts';
import type { Change, Decision, Digests, Guard, LossQuery, LossRow, Page, RangeQuery, ScanQuery, StoredDocument, StoredItem, Table } from '../../ports/table.ts';

export class MemoryTable implements Table {
  readonly supports = { digests: true, attempts: true } as const;
  readonly changes = new MemoryChangeLog();
  readonly digests: Digests;
  readonly #items = new Map<string, StoredItem>();
  readonly #losses = new Map<string, LossRow>();
  readonly #documents = new Map<string, StoredDocument>();
  readonly #largest = new Map<ActorId, Stamp>();
  readonly #keyedHash: HashFunction;
  #lineMs = 0;

  constructor(keyedHash: HashFunction) {
    this.#keyedHash = keyedHash;
    this.digests = this.#digestPort();
  }

  largestStamps(): VersionVector {
    return this.#largest;
  }

  async get(key: ItemKey): Promise<Record | undefined> {
    return this.#items.get(toHex(key.encoded))?.record;
  }

  async update<R>(key: ItemKey, change: Change<R>): Promise<R> {
    const current = this.#items.get(toHex(key.encoded))?.record;
    const attempt = change.attempt;
    const decision: Decision<R> = attempt !== undefined && attempt.isStillGood?.() !== false && holds(attempt.guard, current, attempt.commit.state) ? { ...attempt, losses: [] } : change.decide(current);
    const rows = this.#ledger(decision.losses ?? []);
    if (decision.remove === true) this.#items.delete(toHex(key.encoded));
    if (decision.commit !== undefined) {
      const { state, kind } = decision.commit;
      const record: Record = { state, kind, revision: (current?.revision ?? 0) + 1 };
      this.#items.set(toHex(key.encoded), { key, record });
      for (const [actor, stamp] of state.context) this.#note(actor, stamp);
      change.meanwhile?.(decision.result)();
      this.changes.append({ key, kind, image: encodeState(state) });
    }
    for (const row of rows) if (row.isSent === true) this.changes.append({ key, kind: 'local', name: lossName(row.id), loss: row.id, image: encodeLossRow(row) });
    return decision.result;
  }

  #note(actor: ActorId, stamp: Stamp): void {
    if (stamp > (this.#largest.get(actor) ?? STAMP_ZERO)) this.#largest.set(actor, stamp);
  }

  /** Answers those that are new. */
  #ledger(losses: readonly LossRow[]): LossRow[] {
    return losses.filter((loss) => {
      const others = [...this.#losses.values()].filter((row) => equalBytes(row.key.encoded, loss.key.encoded));
      const covered = others.some((row) => formatDot(row.dot) !== formatDot(loss.dot) && covers(row.context, loss.dot));
      if (covered || this.#losses.has(loss.id)) return false;
      this.#losses.set(loss.id, loss);
      this.#note(loss.dot.actor, loss.dot.stamp);
      return true;
    });
  }

  #sorted(keep: (item: StoredItem) => boolean): StoredItem[] {
    return [...this.#items.values()].filter(keep).sort((a, b) => compareBytes(a.key.encoded, b.key.encoded));
  }

  async range(query: RangeQuery): Promise<Page<StoredItem>> {
    const inBounds = (sk: Uint8Array): boolean => {
      const low = query.from === undefined ? 1 : compareBytes(sk, query.from.sk);
      const high = query.to === undefined ? -1 : compareBytes(sk, query.to.sk);
      return (low > 0 || (low === 0 && query.from?.inclusive === true)) && (high < 0 || (high === 0 && query.to?.inclusive === true));
    };
    const items = this.#sorted(({ key }) => equalBytes(key.encoded.subarray(0, query.prefix.length), query.prefix) && inBounds(key.sk));
    return page(query.descending ? items.reverse() : items, query.limit, query.bytesMax);
  }

  async scan(query: ScanQuery): Promise<Page<StoredItem>> {
    const { after, before } = query;
    const items = this.#sorted(
      ({ key }) =>
        key.group === query.group &&
        partitionOf(key.encoded) === query.partition &&
        (after === undefined || compareBytes(key.encoded, after) > 0) &&
        (before === undefined || compareBytes(key.encoded, before) < 0),
    );
    return page(items, query.limit, query.bytesMax);
  }

  async tombstones(query: ScanQuery): Promise<Page<StoredItem>> {
    const { after, group, partition } = query;
    const items = this.#sorted(({ key, record }) => isCandidate(record.state) && key.group === group && partitionOf(key.encoded) === partition && (after === undefined || compareBytes(key.encoded, after) > 0));
    return page(items, query.limit, query.bytesMax);
  }

  async siblings(collection: string, limit: number, after?: Uint8Array): Promise<Page<ItemKey>> {
    const items = this.#sorted(({ key, record }) => key.collection === collection && holdsSeveral(record.state) && (after === undefined || compareBytes(key.encoded, after) > 0));
    const shown = items.slice(0, limit).map(({ key }) => key);
    const last = shown.at(-1);
    return items.length > limit && last !== undefined ? { items: shown, cursor: last.encoded } : { items: shown };
  }

  async losses(query: LossQuery): Promise<Page<LossRow>> {
    return lossPage([...this.#losses.values()], query);
  }

  async lossesOf(key: ItemKey): Promise<readonly LossRow[]> {
    return [...this.#losses.values()].filter((row) => equalBytes(row.key.encoded, key.encoded)).sort((a, b) => (a.dot.stamp < b.dot.stamp ? -1 : 1));
  }

  async loss(id: string): Promise<LossRow | undefined> {
    return this.#losses.get(id);
  }

  async document(name: string): Promise<StoredDocument | undefined> {
    return this.#documents.get(name);
  }

  async putDocument(name: string, bytes: Uint8Array, expected: number | undefined): Promise<boolean> {
    const before = this.#documents.get(name)?.revision;
    if (before !== expected) return false;
    this.#documents.set(name, { bytes: bytes.slice(), revision: (before ?? 0) + 1 });
    return true;
  }

  #digestPort(): Digests {
    const element = ({ key, record }: StoredItem): Sum => elementOf(key.encoded, record.state, this.#lineMs, this.#keyedHash);
    const sum = (keep: (key: ItemKey) => boolean): Sum =>
      [...this.#items.values()].filter(({ key }) => keep(key)).reduce<Sum>((total, item) => addSums(total, element(item)), ZERO_SUM);
    const isIn = (key: ItemKey, group: GroupId, partition: PartitionId): boolean => key.group === group && partitionOf(key.encoded) === partition;
    const leaf = (group: GroupId, partition: PartitionId, at: number): Sum => sum((key) => isIn(key, group, partition) && leafOf(key.encoded) === at);
    const line = (): number => this.#lineMs;
    return {
      get lineMs() {
        return line();
      },
      sweep: async (toMs) => (this.#lineMs = Math.max(this.#lineMs, toMs)),
      root: (group, partitions) => [...partitions].reduce<Sum>((total, partition) => addSums(total, sum((key) => isIn(key, group, partition))), ZERO_SUM),
      partition: (group, partition) => sum((key) => isIn(key, group, partition)),
      branches: (group, partition) =>
        Array.from({ length: BRANCHES }, (_, branch) => sum((key) => isIn(key, group, partition) && Math.floor(leafOf(key.encoded) / LEAVES_PER_BRANCH) === branch)),
      leaves: (group, partition, branch) => Array.from({ length: LEAVES_PER_BRANCH }, (_, at) => leaf(group, partition, branch * LEAVES_PER_BRANCH + at)),
      leafWords: (group, partition) => {
        const tree = new DigestTree();
        for (const item of this.#items.values()) if (isIn(item.key, group, partition)) tree.add(partition, leafOf(item.key.encoded), element(item));
        return tree.words(partition);
      },
      fingerprints: async (group, partition, at) =>
        this.#sorted(({ key }) => isIn(key, group, partition) && leafOf(key.encoded) === at)
          .map((item): Fingerprint => ({ key: item.key.encoded, sum: element(item) }))
          .filter(({ sum: each }) => !isZeroSum(each)),
      items: (collection) => [...this.#items.values()].filter((item) => item.key.collection === collection && !isZeroSum(element(item))).length,
    };
  }
}

export function lossPage(rows: readonly LossRow[], query: LossQuery): Page<LossRow> {
  const position = (row: LossRow): Uint8Array => new TextEncoder().encode(`${String(row.atMs).padStart(16, '0')} ${row.id}`);
  const all = rows
    .filter((row) => row.key.collection === query.collection && row.atMs >= (query.sinceMs ?? 0) && (query.after === undefined || compareBytes(position(row), query.after) > 0))
    .sort((a, b) => compareBytes(position(a), position(b)));
  const items = all.slice(0, query.limit);
  const last = items.at(-1);
  return all.length > query.limit && last !== undefined ? { items, cursor: position(last) } : { items };
}

export function holds(guard: Guard, current: Record | undefined, next: State): boolean {
  if (current === undefined) return true;
  if (guard.type === 'absent') return false;
  const head = headDot(current.state);
  if (current.state.removed !== undefined) return false;
  const isKnown = guard.operation !== undefined && findOperation(current.state.operations, guard.operation) !== undefined;
  const forgets = joinOperations(next.operations, current.state.operations) !== next.operations;
  const own = headDot(next);
  const isOwn = head !== undefined && own !== undefined && sameDot(head, own);
  return head !== undefined && current.state.values.length <= 1 && covers(guard.context, head) && !isOwn && !isKnown && !forgets;
}

export function page(items: readonly StoredItem[], limit: number, bytesMax: number): Page<StoredItem> {
  const taken: StoredItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const last = taken.at(-1);
    if (last !== undefined && (taken.length === limit || bytes >= bytesMax)) return { items: taken, cursor: last.key.encoded };
    taken.push(item);
    bytes += encodeState(item.record.state).length;
  }
  return { items: taken };
}

export class MemoryChangeLog implements ChangeLog {
  #entries: LogEntry[] = [];
  #position = 0;
  #trimmed = 0;
  readonly #listeners = new Set<(entries: readonly LogEntry[]) => void>();

  append(made: Omit<LogEntry, 'position'>): void {
    const entry: LogEntry = { position: ++this.#position, ...made };
    this.#entries.push(entry);
    for (const listener of this.#listeners) listener([entry]);
  }

  async read(position: number, limit: number): Promise<{ readonly entries: readonly LogEntry[]; readonly more: boolean }> {
    const left = this.#entries.filter((entry) => entry.position > position);
    return { entries: left.slice(0, limit), more: left.length > limit };
  }

  subscribe(listener: (entries: readonly LogEntry[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  trim(position: number): void {
    this.#trimmed = Math.max(this.#trimmed, position);
    this.#entries = this.#entries.filter((entry) => entry.position > this.#trimmed);
  }

  trimmed(): number {
    return this.#trimmed;
  }
}
