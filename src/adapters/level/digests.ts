// Digests in memory, kept with the writes, checkpointed with a position of the change log and replayed after a start;
// never trusted past it. What an item adds is stored in its record's envelope (`element`), so that an update is one xor
// of two known sums, and so that sweeping an expired value is an ordinary, logged change of that element.

import { ByteWriter, toHex, type ByteReader } from '../../core/bytes.ts';
import { addSums, ALL_PARTITIONS, DigestTree, isZeroSum, leafOf, type Sum } from '../../core/merkle/digest.ts';
import { asGroupId, partitionOf, type GroupId, type PartitionId } from '../../core/keys/item-key.ts';
import type { Operation } from './group.ts';
import { rows, type LoggedChange } from './layout.ts';

export class LevelDigests {
  readonly #trees = new Map<GroupId, DigestTree>();
  readonly #items = new Map<string, number>();
  /** Partitions changed since the last checkpoint. */
  readonly #dirty = new Map<string, { readonly group: GroupId; readonly partition: PartitionId }>();

  tree(group: GroupId): DigestTree {
    let tree = this.#trees.get(group);
    if (tree === undefined) this.#trees.set(group, (tree = new DigestTree()));
    return tree;
  }

  items(collection: string): number {
    return this.#items.get(collection) ?? 0;
  }

  /** One durable change. */
  apply(change: LoggedChange, collection: string): void {
    if (change.itemsDelta !== 0) this.#items.set(collection, this.items(collection) + change.itemsDelta);
    if (isZeroSum(change.delta)) return;
    const group = groupOfKey(change.key);
    const partition = partitionOf(change.key);
    this.tree(group).add(partition, leafOf(change.key), change.delta);
    const name = group + partition;
    if (!this.#dirty.has(name)) this.#dirty.set(name, { group, partition });
  }

  /** Everything that a later start needs, for one atomic batch; the caller adds the position that it is true for. */
  checkpoint(): { readonly operations: readonly Operation[]; readonly undo: () => void } {
    const operations: Operation[] = [];
    const taken = [...this.#dirty];
    for (const [, { group, partition }] of taken) {
      const value = this.tree(group).encodePartition(partition);
      if (value !== undefined) operations.push({ type: 'put', key: rows.digest(group, partition), value });
    }
    this.#dirty.clear();
    return { operations, undo: () => taken.forEach(([name, dirty]) => this.#dirty.set(name, dirty)) };
  }

  encodeItems(): Uint8Array {
    const out = new ByteWriter();
    out.varint(this.#items.size);
    for (const [collection, count] of this.#items) out.text(collection).varint(Math.max(0, count));
    return out.finish();
  }

  loadItems(reader: ByteReader): void {
    for (let left = reader.varint(); left > 0; left--) this.#items.set(reader.text(), reader.varint());
  }

  loadPartition(group: GroupId, partition: PartitionId, bytes: Uint8Array): void {
    this.tree(group).loadPartition(partition, bytes);
  }

  /** The sum of everything, for tests. */
  total(): Sum {
    return [...this.#trees.values()].reduce<Sum>((sum, tree) => addSums(sum, tree.root(ALL_PARTITIONS)), { high: 0, low: 0 });
  }
}

export const groupOfKey = (key: Uint8Array): GroupId => asGroupId(toHex(key.subarray(0, 4)));
