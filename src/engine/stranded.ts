// Stranded writes: what a region had acknowledged and not passed on when it was declared lost. When it is taken back after all,
// they merge in the ordinary way, and those that lose are one group in the ledger, for an operator to accept (as the merge has it)
// or to bring back as a whole. The group is named by the actor that wrote them: the region and its incarnation.
//
// A row of the ledger never changes, and says nothing of groups. What makes it one of a group is when it was written: after its
// author's region was taken back. That, and which groups are settled, each region notes for itself.

import type { Topology } from '../core/placement/topology.ts';
import { actorRegion, type ActorId, type RegionId } from '../core/version/dot.ts';
import { asOperationHash, findOperation } from '../core/version/operations.ts';
import { headDot, isExpired } from '../core/version/record.ts';
import { stampMs } from '../core/version/stamp.ts';
import type { LossRow, Table } from '../ports/table.ts';
import type { Coordinator } from './coordinate.ts';
import { keepDocument, readDocument } from './documents.ts';

const DOCUMENT = 'stranded';

interface Note {
  /** By region: when the document that took it back came into force here (wall clock). The newest return counts. */
  readonly returned: Readonly<Record<RegionId, number>>;
  /** By collection and group: until when what was in it is settled. */
  readonly settled: Readonly<Record<string, number>>;
}

const NOTHING: Note = { returned: {}, settled: {} };
const settledName = (collection: string, group: ActorId): string => `${collection} ${group}`;

export interface StrandedParts {
  readonly table: Table;
  readonly coordinator: Coordinator;
  wallMs(): number;
  /** As whom a region writes now, as far as this one has heard. */
  actorOf(region: RegionId): ActorId | undefined;
}

/** Which group a row belongs to, by the notes as they are now. */
export interface Groups {
  groupOf(row: LossRow): ActorId | undefined;
  /** No row of the group is older. Undefined: there is no such group here. */
  sinceMs(group: ActorId): number | undefined;
}

export class Stranded {
  readonly #parts: StrandedParts;

  constructor(parts: StrandedParts) {
    this.#parts = parts;
  }

  /** Regions that were lost and are listed as taking part again. Durable when it resolves: before the document is in force. */
  async returning(before: Topology, after: Topology): Promise<void> {
    const wereLost = new Set(before.regions.filter(({ state }) => state === 'lost').map(({ id }) => id));
    const returned = after.regions.filter(({ id, state }) => wereLost.has(id) && state !== 'lost');
    if (returned.length === 0) return;
    // mark: a region that was lost is taken back
    const atMs = this.#parts.wallMs();
    await this.#amend((note) => ({ ...note, returned: { ...note.returned, ...Object.fromEntries(returned.map(({ id }) => [id, atMs])) } }));
  }

  async #amend(change: (note: Note) => Note): Promise<void> {
    const { table } = this.#parts;
    const changed = change((await readDocument<Note>(table, DOCUMENT)) ?? NOTHING);
    await keepDocument(table, DOCUMENT, () => changed);
  }

  async groups(): Promise<Groups> {
    const { returned, settled } = (await readDocument<Note>(this.#parts.table, DOCUMENT)) ?? NOTHING;
    const sinceMs = (group: ActorId): number | undefined => returned[actorRegion(group)];
    const groupOf = ({ key, dot: { actor }, atMs }: LossRow): ActorId | undefined => {
      const since = sinceMs(actor);
      const isStranded = since !== undefined && atMs >= since && atMs > (settled[settledName(key.collection, actor)] ?? Number.NEGATIVE_INFINITY);
      return isStranded && actor !== this.#parts.actorOf(actorRegion(actor)) ? actor : undefined;
    };
    return { groupOf, sinceMs };
  }

  /** The merge has it right: its rows stay in the ledger, and are no group any more. Durable when it resolves. */
  async accept(collection: string, group: ActorId): Promise<void> {
    const atMs = this.#parts.wallMs();
    await this.#amend((note) => ({ ...note, settled: { ...note.settled, [settledName(collection, group)]: atMs } }));
  }

  /**
   * Writes the value of a row again, once, whichever regions are asked to: as one operation.
   * `overtaken`: the item was written since the region was taken back, and that stands; or the value has expired.
   */
  async restore(row: LossRow, sinceMs: number): Promise<'restored' | 'overtaken' | 'refused'> {
    const { coordinator } = this.#parts;
    const id = asOperationHash(row.id.slice(0, 16));
    const current = await coordinator.read(row.key);
    const isDone = current !== undefined && findOperation(current.operations, id) !== undefined;
    const newest = current === undefined ? undefined : headDot(current);
    if (!isDone && newest !== undefined && stampMs(newest.stamp) > sinceMs) return 'overtaken';
    if (!isDone && row.value !== undefined && isExpired(row.value, this.#parts.wallMs())) return 'overtaken';
    const { decision } = await coordinator.restore(row.id, { id });
    if (decision.type !== 'refused') return 'restored';
    return decision.code === 'not-found' ? 'restored' : 'refused'; // a delete of what is gone
  }
}
