// What must hold of reaping (core/version/reap.ts), looked at with every record that goes, on the disks themselves:
//
//   the line of the partition was raised before
//   every other replica that takes part covers what goes, or has reaped it too: its proof was given, and nothing since then has taken it back
//   at the end, nothing that a reaped record covered is alive

import { EPOCH_MS } from '../adapters/sim/machine.ts';
import { keyText, utf8Text } from '../core/bytes.ts';
import { partitionOf } from '../core/keys/item-key.ts';
import { isOut } from '../core/placement/topology.ts';
import { formatDot } from '../core/version/dot.ts';
import { formatState } from '../core/version/format.ts';
import { agrees, lineOf, tombstoneOf } from '../core/version/reap.ts';
import { liveValues, sameState, type State } from '../core/version/record.ts';
import { STAMP_ZERO, type Stamp } from '../core/version/stamp.ts';
import { covers } from '../core/version/version-vector.ts';
import { documentCell } from '../adapters/sim/documents.ts';
import { decodeLines } from '../engine/reaped-lines.ts';
import type { StoredDocument, StoredItem } from '../ports/table.ts';
import { nameOf } from './names.ts';
import type { SimCluster, SimRegion } from './cluster.ts';

export interface ReapOverseer {
  readonly damaged: ReadonlySet<SimRegion>;
  /** For how long its topology document has been in force there. */
  worksForMs(region: SimRegion): number;
  violated(rule: string, what: string): void;
}

/** From the raising of the lines to the end of the deletion's sync. */
const DECIDED_MS_MAX = 1_000;

interface Gone {
  readonly tombstone: State;
  readonly from: Set<SimRegion>;
}

export class Reaped {
  readonly #cluster: SimCluster;
  readonly #overseer: ReapOverseer;
  /** Every state that went, by item, and from whose disks. */
  readonly #gone = new Map<string, Gone[]>();

  constructor(cluster: SimCluster, overseer: ReapOverseer) {
    this.#cluster = cluster;
    this.#overseer = overseer;
  }

  /** A record went from the disk of this region. */
  note(region: SimRegion, key: StoredItem['key'], state: State): void {
    const item = nameOf(key);
    const tombstone = tombstoneOf(state);
    const known = this.#gone.get(item) ?? [];
    const same = known.find((each) => sameState(each.tombstone, tombstone));
    if (same === undefined) this.#gone.set(item, [...known, { tombstone, from: new Set([region]) }]);
    else same.from.add(region);
    if (lineOnDisk(region, key) < lineOf(tombstone)) this.#overseer.violated('the line is raised before the record goes', `${region.id} ${item} ${formatState(state)}`);
    for (const other of this.#others(region, key)) {
      const record = other.machine.disk.get(`r ${keyText(key.encoded)}`) as StoredItem | undefined;
      // Alive by the clock of whoever asked, or dead: that is another rule's business.
      const isProved = record === undefined ? lineOnDisk(other, key) >= lineOf(tombstone) : agrees({ ...record.record.state, values: [] }, tombstone, 0) || lineOnDisk(other, key) >= lineOf(tombstone);
      if (!isProved) this.#overseer.violated('reaped by proof', `${region.id} reaped ${item} ${formatState(state)}, but ${other.id} holds ${record === undefined ? 'nothing' : formatState(record.record.state)}`);
    }
  }

  /**
   * A disk that forgot may have said yes before. Who is fenced or lost is not asked: taken back, it is in doubt first. Nor is
   * who joins in the middle of the round, or comes to hold the item by a document of this moment: it asks everybody for the
   * lines, which were raised before it was let in.
   */
  #others(region: SimRegion, key: StoredItem['key']): SimRegion[] {
    const { catalog } = region.running?.region ?? {};
    const holders = (catalog?.holdersOf(key) ?? []).filter((id) => !isOut(catalog?.entry(id)));
    const isNew = this.#overseer.worksForMs(region) < DECIDED_MS_MAX;
    const joins = ({ id, isUp, running }: SimRegion): boolean => {
      const isBehind = running?.region.catalog.version.identity !== catalog?.version.identity || running?.region.recovery.isPending === true;
      return (catalog?.entry(id)?.state === 'joining' && !isUp) || (isNew && isBehind);
    };
    return this.#cluster.regions.filter((other) => other !== region && holders.includes(other.id) && !joins(other) && !this.#overseer.damaged.has(other));
  }

  /** A disk forgot. What it alone had reaped (its peers were lost), nobody knows any more: with the delete, which was nowhere else either. */
  lost(region: SimRegion): void {
    for (const [item, gone] of this.#gone) {
      for (const { from } of gone) from.delete(region);
      this.#gone.set(item, gone.filter(({ from }) => from.size > 0));
    }
  }

  finish(): void {
    for (const { id, running } of this.#cluster.regions) {
      for (const { key, record } of running?.table.everything() ?? []) {
        // A copy that a topology document took away stays on the disk, and nobody is shown it; given back, it is in doubt first.
        if (running?.region.catalog.holdersOf(key)?.includes(id) === false) continue;
        const gone = this.#gone.get(nameOf(key)) ?? [];
        for (const { dot, value } of liveValues(record.state, EPOCH_MS + this.#cluster.world.nowMs)) {
          if (gone.some(({ tombstone }) => covers(tombstone.context, dot))) this.#overseer.violated('what was reaped does not return', `${id} ${nameOf(key)} ${formatDot(dot)} ${utf8Text(value.bytes) ?? ''}`);
        }
      }
    }
  }
}

function lineOnDisk({ machine }: SimRegion, { group, encoded }: StoredItem['key']): Stamp {
  const document = machine.disk.get(documentCell('reaped-lines')) as StoredDocument | undefined;
  const lines = document === undefined ? [] : decodeLines(document.bytes);
  return lines.find((line) => line.group === group && line.partition === partitionOf(encoded))?.stamp ?? STAMP_ZERO;
}
