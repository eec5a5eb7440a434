// Finds out about late values (core/version/reap.ts, invariants 5 to 8): asks the incarnations that issued their dots, and,
// where one is no more, the peers. Whatever cannot be found out now is told by `undefined`: the sender keeps the state.

import { ByteReader, ByteWriter } from '../core/bytes.ts';
import type { ItemKey } from '../core/keys/item-key.ts';
import { LATE_QUESTIONS_MAX } from '../core/limits.ts';
import { isOut } from '../core/placement/topology.ts';
import { decodeState, encodeState } from '../core/version/codec.ts';
import { actorRegion, formatDot, parseActor, type ActorId, type Dot, type RegionId } from '../core/version/dot.ts';
import { judgeLate, lateValues, type LateJudgement, type LateVerdict } from '../core/version/reap.ts';
import type { State } from '../core/version/record.ts';
import type { Stamp } from '../core/version/stamp.ts';
import type { Table } from '../ports/table.ts';
import type { Catalog } from './catalog.ts';
import type { PeerLink } from './peer-link.ts';

/** What a region answers when it is asked for its record of a key. */
export interface RecordAnswer {
  readonly actor: ActorId;
  readonly state: State | undefined;
}

export function encodeRecordAnswer({ actor, state }: RecordAnswer): Uint8Array {
  const out = new ByteWriter(1024).text(actor).u8(state === undefined ? 0 : 1);
  return (state === undefined ? out : out.bytes(encodeState(state))).finish();
}

export function decodeRecordAnswer(body: Uint8Array): RecordAnswer {
  const reader = new ByteReader(body);
  const actor = parseActor(reader.text());
  if (actor === undefined) throw new RangeError('Not an actor.');
  return { actor, state: reader.u8() === 0 ? undefined : decodeState(reader.bytes(reader.left)) };
}

export interface LateParts {
  readonly region: RegionId;
  actor(): ActorId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly links: ReadonlyMap<RegionId, PeerLink>;
}

export class LateStates {
  readonly #parts: LateParts;
  readonly stats = { asked: 0, kept: 0, dropped: 0, ledgered: 0, held: 0, askedAgain: 0 };

  constructor(parts: LateParts) {
    this.#parts = parts;
  }

  /** Undefined: somebody who has to be asked is out of reach. */
  async judge(key: ItemKey, incoming: State, line: Stamp): Promise<LateJudgement | undefined> {
    const verdicts = new Map<string, LateVerdict>();
    const records: State[] = [];
    const answers = new Map<RegionId, Promise<RecordAnswer | undefined>>();
    const stored = (await this.#parts.table.get(key))?.state;
    for (const state of loop([incoming], records)) {
      for (const { dot } of lateValues(state, stored, line)) {
        if (verdicts.has(formatDot(dot))) continue;
        if (verdicts.size >= LATE_QUESTIONS_MAX) return this.#held();
        const found = await this.#ask(key, dot, stored, answers);
        if (found === undefined) return this.#held();
        // mark if (found.verdict === 'holds'): late value kept
        // mark if (found.verdict === 'does-not-hold'): late value dropped
        // mark if (found.verdict === 'is-no-more'): late value ledgered
        this.stats[STATS[found.verdict]]++;
        verdicts.set(formatDot(dot), found.verdict);
        if (found.verdict === 'does-not-hold' && found.record !== undefined && !records.includes(found.record)) records.push(found.record);
      }
    }
    return { verdicts, records };
  }

  #held(): undefined {
    // mark: late value held back, who knows is out of reach
    this.stats.held++;
    return undefined;
  }

  async #ask(key: ItemKey, dot: Dot, stored: State | undefined, answers: Map<RegionId, Promise<RecordAnswer | undefined>>): Promise<{ readonly verdict: LateVerdict; readonly record: State | undefined } | undefined> {
    this.stats.asked++;
    const own: RecordAnswer = { actor: this.#parts.actor(), state: stored };
    const from = (region: RegionId): Promise<RecordAnswer | undefined> => {
      let answer = answers.get(region);
      if (answer === undefined) answers.set(region, (answer = this.#record(region, key)));
      return answer;
    };
    const region = actorRegion(dot.actor);
    const holders = this.#parts.catalog.holdersOf(key);
    const isAsked = region !== this.#parts.region && this.#mayBeAsked(region) && holders?.includes(region) !== false;
    const issuer = region === this.#parts.region ? own : isAsked ? await from(region) : { actor: undefined, state: undefined };
    if (issuer === undefined) return undefined;
    const isSame = issuer.actor === dot.actor; // the incarnation, not the region: one that was restored does not know
    const peers: (State | undefined)[] = [];
    if (!isSame) {
      for (const peer of holders ?? []) {
        if (peer === region || peer === this.#parts.region || !this.#mayBeAsked(peer)) continue;
        const answer = await from(peer);
        if (answer === undefined) return undefined;
        peers.push(answer.state);
      }
    }
    return { verdict: judgeLate(dot, { isSame, record: issuer.state }, peers), record: issuer.state };
  }

  /**
   * A fenced, lost or removed region is not asked; nor is one that has given the partition up: what it kept was not asked
   * about when its deletes were reaped.
   */
  #mayBeAsked(region: RegionId): boolean {
    return !isOut(this.#parts.catalog.entry(region));
  }

  async #record(region: RegionId, key: ItemKey): Promise<RecordAnswer | undefined> {
    try {
      return decodeRecordAnswer(await (this.#parts.links.get(region) as PeerLink).ask('record', key.encoded));
    } catch {
      return undefined;
    }
  }
}

const STATS = { holds: 'kept', 'does-not-hold': 'dropped', 'is-no-more': 'ledgered' } as const satisfies { readonly [verdict in LateVerdict]: string };

/** The first ones, then whatever is added meanwhile. */
function* loop<T>(first: readonly T[], added: readonly T[]): Generator<T> {
  yield* first;
  for (let at = 0; at < added.length; at++) yield added[at] as T;
}
