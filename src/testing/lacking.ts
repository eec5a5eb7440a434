// What a loss of a region at this instant would really lose towards a peer: the truth that its live RPO is held against.

import { EPOCH_MS } from '../adapters/sim/machine.ts';
import { keyText, utf8Text } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { actorRegion, compareDots, formatDot, type ActorId, type Dot, type RegionId } from '../core/version/dot.ts';
import { headDot, liveValues, type State } from '../core/version/record.ts';
import { STAMP_ZERO } from '../core/version/stamp.ts';
import { covers, EMPTY_VECTOR } from '../core/version/version-vector.ts';
import type { LossRow, StoredItem } from '../ports/table.ts';
import { nameOf } from './names.ts';
import type { SimRegion } from './cluster.ts';

export interface LackingSetting {
  readonly nowMs: number;
  readonly isLww: (collection: string) => boolean;
  /** Writes were given up for some peer: digests, which are of live values, prove that they are there after all. */
  readonly wasBehind: boolean;
  readonly isReaping: boolean;
  readonly regionOf: (id: RegionId) => SimRegion;
  /** By somebody who had read it; a write that is under way counts when this state has dropped the value. */
  readonly isWrittenOver: (value: string, dropped: State) => boolean;
  /** In the ledger of some region. */
  readonly isLedgered: (key: ItemKey, dot: Dot) => boolean;
  readonly hasReaped: (at: SimRegion, key: ItemKey, dots: readonly Dot[]) => boolean;
}

type States = ReadonlyMap<string, State>;

const statesOf = ({ running }: SimRegion): States => new Map([...(running?.table.everything() ?? [])].map(({ key, record }) => [keyText(key.encoded), record.state]));

/** Items of which the peer does not have the newest write of this region's present incarnation. */
export function lackingAt(region: SimRegion, peer: SimRegion, setting: LackingSetting): StoredItem[] {
  const { running } = region;
  if (running === undefined || peer.running === undefined) return [];
  const { actor, catalog } = running.region;
  const theirs = statesOf(peer);
  return [...running.table.everything()].filter((item) => {
    const holders = catalog.holdersOf(item.key) ?? [];
    if (!holders.includes(peer.id) || !isLacking(actor, peer, theirs, item, setting)) return false;
    if (holders.includes(region.id)) return true;
    // Left behind when the topology changed: what one of those has who hold it is theirs to pass on.
    return holders.map(setting.regionOf).every((holder) => isLacking(actor, holder, statesOf(holder), item, setting));
  });
}

/** Rows that one region alone could tell: what was decided there, and its own writes, which may never have left it. */
const isItsToTell = ({ id }: SimRegion, { isSent, rule, dot, region }: LossRow): boolean => region === id && (isSent === true || rule === 'late-operation' || actorRegion(dot.actor) === id);

/** Of these, what is not in the peer's ledger, nor in the past of a row there, or of what the peer holds of the item. */
export function rowsLackingAt(region: SimRegion, peer: SimRegion): string[] {
  const { running } = region;
  if (running === undefined || peer.running === undefined) return [];
  const theirs = [...peer.running.table.everyLoss()];
  const states = statesOf(peer);
  const isPast = ({ key, dot }: LossRow): boolean => covers(states.get(keyText(key.encoded))?.context ?? EMPTY_VECTOR, dot);
  const isTold = (row: LossRow): boolean => isPast(row) || theirs.some((other) => other.id === row.id || (keyText(other.key.encoded) === keyText(row.key.encoded) && covers(other.context, row.dot)));
  const lacking = [...running.table.everyLoss()].filter((row) => isItsToTell(region, row) && running.region.catalog.holdersOf(row.key)?.includes(peer.id) === true && !isTold(row));
  return lacking.map(({ key, rule, dot }) => `the row of ${formatDot(dot)}, ${nameOf(key)} (${rule})`);
}

function isLacking(actor: ActorId, peer: SimRegion, theirs: States, { key, record: { state } }: StoredItem, { nowMs, isLww, wasBehind, isReaping, hasReaped, isWrittenOver, isLedgered }: LackingSetting): boolean {
  const their = theirs.get(keyText(key.encoded));
  if (isReaping && state.values.length === 0) return false; // the peer may have reaped it already
  // Left behind here when the topology changed; deleted since, and reaped, by those who hold it.
  if (hasReaped(peer, key, state.values.map(({ dot }) => dot))) return false;
  // A delete of what the peer does not hold either is not missed.
  if (wasBehind && liveDots(state, nowMs) === liveDots(their, nowMs)) return false;
  if (isReaping && !isLww(key.collection)) return lacksValue(state, their, actor);
  if (!isLww(key.collection)) return (their?.context.get(actor) ?? STAMP_ZERO) < (state.context.get(actor) ?? STAMP_ZERO);
  // The state is one whole write: a peer that holds a larger one has no use for this.
  const [mine, held] = [headDot(state), their === undefined ? undefined : headDot(their)];
  if (mine === undefined || mine.actor !== actor) return false;
  // A tombstone from when the collection kept siblings has no dot of its own: its delete is in the history, with what its client had been shown: not what had expired, or lost to it.
  if (held === undefined) return their === undefined || !covers(their.context, mine) || !liveValues(state, EPOCH_MS + nowMs).every(({ dot, value }) => isWrittenOver(utf8Text(value.bytes) ?? '', their) || isLedgered(key, dot));
  // What the peer has deleted while the collection kept siblings lies in its past.
  return compareDots(held, mine) < 0 && !covers(their?.context ?? EMPTY_VECTOR, mine);
}

const liveDots = (state: State | undefined, nowMs: number): string =>
  (state === undefined ? [] : liveValues(state, EPOCH_MS + nowMs)).map(({ dot }) => formatDot(dot)).join(' ');

/** Where contexts are forgotten: a value that the other never saw, or one that it still holds and this has replaced. */
function lacksValue(mine: State, their: State | undefined, actor: ActorId): boolean {
  const has = (state: State | undefined, dot: Dot): boolean => state?.values.some((held) => compareDots(held.dot, dot) === 0) === true;
  const isNew = mine.values.some(({ dot }) => dot.actor === actor && !has(their, dot) && (their === undefined || !covers(their.context, dot)));
  const isOld = their?.values.some(({ dot }) => covers(mine.context, dot) && !has(mine, dot)) === true && (their.context.get(actor) ?? STAMP_ZERO) < (mine.context.get(actor) ?? STAMP_ZERO);
  return isNew || isOld;
}
