// What the region that received a request does with it: reads its own copy, decides and commits writes locally, and where
// the client asked for it, waits until other regions have merged the write.

import { toHex } from '../core/bytes.ts';
import { HotKeys } from '../core/hot-keys.ts';
import { findOperation, type Operation } from '../core/version/operations.ts';
import { isExpired, liveValues, type Record, type State } from '../core/version/record.ts';
import { isSystemCollection, type ItemKey } from '../core/keys/item-key.ts';
import type { ActorId, RegionId } from '../core/version/dot.ts';
import { STAMP_ZERO } from '../core/version/stamp.ts';
import type { HashFunction } from '../core/version/tag.ts';
import { decideWrite, type Write, type WriteDecision, type WriteSetting } from '../core/version/write.ts';
import { encodeState } from '../core/version/codec.ts';
import type { Clock } from '../ports/clock.ts';
import type { BlindWrite, Decision, LossRow, Table } from '../ports/table.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Catalog } from './catalog.ts';
import { decodeReceipts, encodeRecords } from './envelope.ts';
import { lossRows } from './ledger.ts';
import type { PeerLink } from './peer-link.ts';
import type { ReapedLines } from './reaped-lines.ts';
import type { Timekeeper } from './timekeeper.ts';

export interface CoordinatorParts {
  readonly region: RegionId;
  actor(): ActorId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly hash: HashFunction;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
  readonly lines: ReapedLines;
}

export interface WriteResult {
  readonly decision: WriteDecision;
  /** What stands after the decision. */
  readonly state: State | undefined;
  /** No value was live before. */
  readonly created: boolean;
}

export interface WriteOptions {
  readonly requireContext?: boolean;
  /** As Change.meanwhile, for a write that is committed. */
  readonly meanwhile?: ((result: WriteResult) => () => void) | undefined;
}

/** `Replicate-To`: so many regions besides this one, or these. */
export type ReplicationTarget = { readonly type: 'count'; readonly count: number } | { readonly type: 'regions'; readonly regions: readonly RegionId[] };

const SEEN_EVERY = 8;

export type HotItem = Pick<ItemKey, 'collection' | 'pk' | 'sk'>;

/** The bytes of a key may lie in those of a whole request. */
const ownKey = ({ collection, pk, sk }: ItemKey): HotItem => ({ collection, pk: new Uint8Array(pk), sk: new Uint8Array(sk) });

export class Coordinator {
  readonly #parts: CoordinatorParts;
  readonly stats = { reads: 0, writes: 0, duplicates: 0, conflicts: 0, lateOperations: 0 };

  /** Items that are read and written most, of a sample. */
  readonly hot = new HotKeys<HotItem>();
  #seen = 0;

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
  }

  /** Every eighth request is enough to see what is hot. */
  #see(key: ItemKey): void {
    if (isSystemCollection(key.collection)) return; // who has which key is nobody's business
    if ((this.#seen = (this.#seen + 1) % SEEN_EVERY) === 0) this.hot.add(toHex(key.encoded), () => ownKey(key));
  }

  async read(key: ItemKey): Promise<State | undefined> {
    this.stats.reads++;
    this.#see(key);
    return (await this.#parts.table.get(key))?.state;
  }

  /** @throws ArchipelError `clock-unsafe`, and what Table.update throws */
  async write(key: ItemKey, write: Write, options: WriteOptions = {}): Promise<WriteResult> {
    const result = await this.#update(key, write, options);
    // mark if (result.decision.type === 'duplicate'): duplicate answered from the operations
    if (result.decision.type === 'duplicate') this.stats.duplicates++;
    if (result.decision.type === 'superseded') this.stats.lateOperations++;
    if ('losses' in result.decision) this.stats.conflicts += result.decision.losses.length;
    return result;
  }

  #update(key: ItemKey, write: Write, { requireContext = false, meanwhile }: WriteOptions): Promise<WriteResult> {
    const { catalog, time, hash, table, lines } = this.#parts;
    const conflict = catalog.conflictRule(key.collection);
    const actor = this.#parts.actor();
    const { stamp, nowMs } = time.issue();
    this.stats.writes++;
    this.#see(key);
    return table.update(key, {
      decide: (current) => this.#decided(key, { current, nowMs }, decideWrite(current?.state, write, { conflict, requireContext, actor, stamp, reapedLine: lines.of(key), nowMs, hash })),
      canDoWithoutBytes: conflict === 'lww', // siblings stay
      blind: table.supports.attempts ? this.#blind(key, write, { conflict, requireContext, actor, stamp, nowMs, hash }) : undefined,
      meanwhile,
    });
  }

  /** Undefined for a write whose outcome depends on more than the order of stamps. */
  #blind(key: ItemKey, write: Write, setting: Omit<WriteSetting, 'reapedLine'>): BlindWrite<WriteResult> | undefined {
    const { value, operation } = write;
    const isPlain = value !== undefined && write.context === undefined && write.seen === undefined && write.ifMatch === undefined && write.ifNoneMatch === undefined;
    if (!isPlain || setting.conflict !== 'lww' || setting.requireContext) return undefined;
    const { actor, stamp } = setting;
    let reapedLine = STAMP_ZERO;
    return {
      dot: { actor, stamp },
      value,
      ...(operation === undefined ? {} : { operation }),
      isStillGood: () => stamp > (reapedLine = this.#parts.lines.of(key)),
      over: (replaced) => this.#decided(key, { current: replaced, nowMs: setting.nowMs }, decideWrite(replaced?.state, write, { ...setting, reapedLine })),
    };
  }

  #decided(key: ItemKey, { current, nowMs }: { readonly current: Record | undefined; readonly nowMs: number }, decision: WriteDecision): Decision<WriteResult> {
    const created = current === undefined || liveValues(current.state, nowMs).length === 0;
    if (decision.type === 'commit') {
      this.#parts.time.observe(decision.dot.stamp);
      const result = { decision, state: decision.state, created };
      return { result, commit: { state: decision.state, kind: 'local' }, losses: this.#rows(key, decision.losses) };
    }
    const result = { decision, state: current?.state, created };
    if (decision.type !== 'superseded') return { result };
    for (const { loser } of decision.losses) this.#parts.time.observe(loser.dot.stamp);
    return { result, losses: this.#rows(key, decision.losses) };
  }

  #rows(key: ItemKey, losses: Parameters<typeof lossRows>[1]): LossRow[] {
    if (losses.length === 0) return [];
    return lossRows(key, losses, { region: this.#parts.region, atMs: this.#parts.time.nowMs(), hash: this.#parts.hash, kind: 'local' });
  }

  /**
   * Puts a loser back: an ordinary write of its value (or its delete) with the context of what is current.
   * A value whose time has passed is not: it would take what is current with it.
   * @throws ArchipelError `not-found` for an unknown row, or an expired value
   */
  async restore(id: string, operation?: Operation): Promise<WriteResult & { readonly row: LossRow }> {
    const row = await this.#parts.table.loss(id);
    if (row === undefined) throw new ArchipelError('not-found', `There is no lost write ${id} in this region's ledger.`);
    const current = await this.read(row.key);
    const isDone = operation !== undefined && current !== undefined && findOperation(current.operations, operation.id) !== undefined;
    if (!isDone && row.value !== undefined && isExpired(row.value, this.#parts.time.nowMs())) throw new ArchipelError('not-found', 'The lost value has expired: written again it would be absent, and what is current with it.');
    const write: Write = { ...(row.value === undefined ? {} : { value: row.value }), ...(current === undefined ? {} : { context: current.context }), ...(operation === undefined ? {} : { operation }) };
    return { ...(await this.write(row.key, write)), row };
  }

  /** The other regions that hold the item. */
  peersOf(key: ItemKey): PeerLink[] {
    const holders = this.#parts.catalog.holdersOf(key) ?? [];
    return holders.flatMap((region) => this.#parts.links.get(region) ?? []);
  }

  /**
   * Merges a state directly at other regions and waits for as many as asked, at most `timeoutMs`; the log carries it as
   * well. Answers the regions that hold it durably by then.
   */
  async replicate(key: ItemKey, state: State, target: ReplicationTarget, timeoutMs: number): Promise<RegionId[]> {
    const links = this.peersOf(key).filter(({ id }) => target.type === 'count' || target.regions.includes(id));
    const wanted = target.type === 'count' ? Math.min(target.count, links.length) : links.length;
    const body = encodeRecords([{ key: key.encoded, state: encodeState(state) }]);
    const holding: RegionId[] = [];
    if (wanted === 0) return holding;
    await new Promise<void>((resolve) => {
      const cancel = this.#parts.clock.after(timeoutMs, resolve);
      let left = links.length;
      const settled = (): void => {
        left--;
        if (holding.length < wanted && left > 0) return;
        cancel();
        resolve();
      };
      for (const link of links) {
        link.ask('merge', body, timeoutMs).then(
          (answer) => {
            if (decodeReceipts(answer, 1)[0] === 'applied') holding.push(link.id);
            settled();
          },
          () => settled(),
        );
      }
    });
    return [...holding];
  }
}
