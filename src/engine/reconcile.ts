// Proves that two regions hold the same, or makes it so. One run compares what a pair of regions shares, moves what
// differs through the ordinary merge (so it can do no more harm than replication can), compares again, and ends in a
// certificate. The cost follows the difference, not the data.
//
//  1. Both sides sweep expired values to one time first: a difference that is only an expired value is never sent.
//  2. A difference younger than YOUNG_MS is probably on its way: it is looked at again before anything is moved. Then it
//     is old: an item that is written again and again may hide what one side lacked before.
//  3. Items move as whole states and are merged; nobody's copy is "the right one".
//  4. A certificate says: no difference older than so many milliseconds, at that time, over these partitions.
//  5. Runs of one pair never overlap: a lease in the table of the pair's first region; without it no certificate.
//  6. The first scans of a deep check may lag (ScanQuery): each shows an item as it was at some moment since SCAN_LAG_MS_MAX
//     before the run. A difference that it shows may be none: it is scanned for again, as things are, before anything is named,
//     counted or moved. A difference that it hides came after that moment: so the look counts as begun that much earlier, and
//     the certificate (4) denies none of these. What lags for longer is found by the next check. A debt is a number of writes,
//     not an age, and a region that joins is made active on its certificate: for these nothing may lag.

import { decodeKey, type GroupId, type ItemKey } from '../core/keys/item-key.ts';
import { ArchipelError } from '../core/errors.ts';
import { MESSAGE_BYTES_PACKED } from '../core/limits.ts';
import { ByteReader } from '../core/bytes.ts';
import { addSums, differingPositions, formatSum, sameSum, ZERO_SUM, type Sum } from '../core/merkle/digest.ts';
import { Sketch } from '../core/merkle/sketch.ts';
import { judgeTopology, type TopologyVersion } from '../core/placement/topology.ts';
import { encodeState } from '../core/version/codec.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { HashFunction } from '../core/version/tag.ts';
import { pause, type Clock } from '../ports/clock.ts';
import type { PeerMethod } from '../ports/peer.ts';
import { SCAN_LAG_MS_MAX, type Digests, type Table } from '../ports/table.ts';
import type { Applier } from './apply.ts';
import type { Catalog } from './catalog.ts';
import type { Certificate, PairReport } from './certificate.ts';
import { decodeRootAnswer, encodeQuestion, folded, type BranchRef, type DifferingItem, type DigestQuestion, type LeafRef, type RootAnswer } from './digest-protocol.ts';
import { chunks, Descent, keyName } from './descent.ts';
import { DeepView, KeptView, type View } from './digest-view.ts';
import { decodeReceipts, decodeRecords, encodeRecords, sentBytes, type Receipt, type SentRecord } from './envelope.ts';
import type { Lane } from './lane.ts';
import { byScope, canSketch, cellsNeeded, leafAt, refsOf, sampledBranches, sketchOf, type Scope } from './leaf-sketch.ts';
import { askUnlessEnded } from './exchange.ts';
import type { PeerLink } from './peer-link.ts';
import type { Restored } from './restored.ts';
import { heal, isSound, isSoundRecord, readRecord } from './soundness.ts';
import type { Timekeeper } from './timekeeper.ts';
export type { Certificate, PairReport } from './certificate.ts';

export const YOUNG_MS = 2_000;
const PASSES_MAX = 64;
/** Passes that moved nothing new: the peer refuses what it is sent. */
const STALLED_PASSES_MAX = 2;
const NAMED_KEYS_MAX = 100;
const FETCH_KEYS = 256;
/** Scanned by both sides within one question, where tables keep no digests. */
const PARTITIONS_PER_SCAN = 8;

export interface ReconcileParts {
  readonly region: RegionId;
  readonly table: Table;
  readonly catalog: Catalog;
  readonly time: Timekeeper;
  readonly clock: Clock;
  readonly applier: Applier;
  readonly hash: HashFunction;
  readonly keyedHash: HashFunction;
  readonly restored: Restored;
  readonly lanes: ReadonlyMap<RegionId, Pick<Lane, 'behind' | 'behindTurn'>>;
}

interface Pass {
  readonly view: View;
  readonly look: Look;
  readonly atMs: number;
  readonly equal: boolean;
  readonly root: Sum;
  readonly differing: readonly DifferingItem[];
  readonly more: boolean;
  /** The peer knows every group that was asked about: of one whose policy has not come there it cannot tell what it lacks. */
  readonly isWhole: boolean;
}

/** When a look began: as the sides of the pair know it, whose clocks may differ. */
export interface Look {
  /** By this side's clock. */
  readonly beganMs: number;
  /** The turn of the lane to the peer (behind.ts). */
  readonly turn: number;
  /** Which the question for the peer's root named: by it, the peer finds its own. */
  readonly askedMs: number;
}

/** The last look of a run. `settled`: what differs was equal, or was moved, after `since` began. */
interface Compared {
  readonly atMs: number;
  readonly root: Sum;
  readonly settled: boolean;
  readonly since: Look;
}

export class Comparison {
  readonly #parts: ReconcileParts;
  readonly #link: PeerLink;
  readonly #scopes: readonly Scope[];
  /** The scopes are those of this document. */
  readonly #topology: TopologyVersion;
  /** Names of what differed at the last look, and was not moved since: what one of the two does not take stays. */
  #left = new Set<string>();
  /** Of a comparison by scans: what is not yet seen to be equal, the sum of the rest, and when the first scan began. */
  #unequal: readonly BranchRef[] | undefined;
  #equalSum = ZERO_SUM;
  #scansLook: Look | undefined;
  #scannedAtMs = 0;
  #signal: AbortSignal | undefined;
  readonly report: PairReport;

  constructor(parts: ReconcileParts, link: PeerLink, groups?: readonly GroupId[]) {
    this.#parts = parts;
    this.#link = link;
    this.#topology = parts.catalog.version;
    const ids = groups ?? [...parts.catalog.groups().keys()].sort();
    this.#scopes = ids.map((group) => ({ group, partitions: parts.catalog.shared(group, link.id) }));
    this.report = { peer: link.id, compared: 0, differing: 0, pushed: 0, pulled: 0, notStored: 0, requests: 0, bytes: 0, rounds: 0, comparedBytes: 0, corrupt: [], wrongDigests: 0, differingKeys: [], equal: false };
  }

  /**
   * Compares and repairs until nothing old differs. Answers the last comparison. `hasty`: everything that differs now is
   * moved, young or not, and once: for a region that takes back its data, before others wait for it. `takesOnly`: nothing is sent.
   */
  async run({ deep, hasty, takesOnly = false }: { readonly deep: boolean; readonly hasty: boolean; readonly takesOnly?: boolean }, signal?: AbortSignal): Promise<Compared> {
    this.#signal = signal;
    this.report.compared = this.#scopes.reduce((sum, { partitions }) => sum + partitions.length, 0);
    const moved = new Set<string>();
    let stalled = 0;
    let before: Pass | undefined;
    for (let pass = 0; pass < PASSES_MAX && signal?.aborted !== true; pass++) {
      const bytesBefore = this.report.bytes;
      const found = await this.#compare(deep, { mayLag: deep && !hasty && pass === 0 && this.#canLag });
      this.report.comparedBytes = Math.max(this.report.comparedBytes, this.report.bytes - bytesBefore);
      if (found.equal) {
        this.report.equal = true;
        return { ...found, settled: true, since: found.look };
      }
      const old = hasty ? found.differing : await this.#older(found);
      const young = found.differing.length - old.length;
      if (old.length === 0 && !found.more && found.isWhole && before?.more === false && before.isWhole) return { ...found, settled: true, since: before.look }; // 4
      before = found;
      for (const { key } of old) {
        if (!moved.has(keyName(key)) && moved.size < NAMED_KEYS_MAX) this.report.differingKeys.push(key);
        moved.add(keyName(key));
      }
      const isNew = moved.size > this.report.differing;
      this.report.differing = moved.size;
      await this.#repair(old, found.view, { hasty, takesOnly });
      if (hasty && !found.more) return { ...found, settled: false, since: found.look };
      stalled = isNew ? 0 : stalled + 1;
      // mark if (stalled > STALLED_PASSES_MAX): comparison given up, nothing moves
      if (stalled > STALLED_PASSES_MAX) break;
      // mark if (young > 0): young difference looked at again
      if (young > 0 || stalled > 0) await pause(this.#parts.clock, YOUNG_MS, signal);
    }
    return { atMs: 0, root: ZERO_SUM, settled: false, since: { beganMs: 0, turn: 0, askedMs: 0 } };
  }

  /** 2. By its newest stamp on either side; one from before a clock was put back lies ahead of now, and is old at the next look. */
  async #older({ differing, view }: Pass): Promise<DifferingItem[]> {
    const youngMs = this.#parts.time.nowMs() - YOUNG_MS;
    const newest = await Promise.all(differing.map(async ({ key, newestMs }) => Math.max(newestMs, await view.newestMs(key))));
    const old = differing.filter(({ key }, at) => (newest[at] as number) <= youngMs || this.#left.has(keyName(key)));
    this.#left = new Set(differing.map(({ key }) => keyName(key)));
    return old;
  }

  #exchange(method: PeerMethod, body: Uint8Array, timeoutMs = 10_000): Promise<Uint8Array> {
    return askUnlessEnded(this.#link, method, body, timeoutMs, this.#signal);
  }

  // Comparing -------------------------------------------------------------------------------------------------------------

  async #ask(question: DigestQuestion, deepTimeoutMs?: number): Promise<Uint8Array> {
    const body = encodeQuestion(question);
    const answer = await this.#exchange('digest', body, deepTimeoutMs);
    this.report.requests++;
    this.report.bytes += body.length + answer.length;
    return answer;
  }

  async #compare(deep: boolean, how: { readonly mayLag: boolean }): Promise<Pass> {
    const { table, time, hash, keyedHash } = this.#parts;
    const beganMs = time.nowMs();
    const turn = this.#parts.lanes.get(this.#link.id)?.behindTurn ?? 0;
    const digests = table.digests;
    if (digests === undefined) return this.#compareByScans({ beganMs, turn, askedMs: 0 }, how);
    let atMs = await digests.sweep(time.readersMs()); // 1: the line never goes back, so a clock that is in doubt must not move it
    const deepView = deep ? new DeepView(table, atMs, hash, keyedHash) : undefined;
    const view = deepView ?? new KeptView(table, digests);
    let mine = await view.root(this.#scopes);
    const groups = this.#scopes.map(({ group }) => group);
    const look: Look = { beganMs, turn, askedMs: atMs };
    const answer = decodeRootAnswer(await this.#ask({ type: 'root', deep, atMs, groups, mine, withSketch: !deep && canSketch(groups) }, deep ? 300_000 : undefined));
    if (deepView !== undefined) this.#noteDeep(deepView);
    if (answer.atMs > atMs && !deep) {
      // mark: swept again to the line of the other side
      atMs = await digests.sweep(answer.atMs);
      mine = await view.root(this.#scopes);
    }
    const base = { view, look, atMs, root: mine };
    if (answer.unknown.length === 0 && sameSum(mine, answer.sum)) {
      this.report.rounds = Math.max(this.report.rounds, 1);
      return { ...base, equal: true, differing: [], more: false, isWhole: true };
    }
    const partitions = await this.#differingPartitions(view, answer);
    const descent = new Descent({ view, deep, atMs, takesSums: answer.sketch !== undefined, ask: (question, timeoutMs) => this.#ask(question, timeoutMs) });
    const sketched = deep ? undefined : await this.#sketchedLeaves(digests, answer, { view, atMs });
    const leaves = sketched?.leaves ?? (await descent.leaves(partitions));
    // mark if (leaves.length === 1): exactly one leaf differs
    const { differing, more, rounds } = await descent.items(leaves);
    this.report.rounds = Math.max(this.report.rounds, (sketched?.rounds ?? 3) + rounds);
    return { ...base, equal: false, differing, more, isWhole: answer.unknown.length === 0 };
  }

  /** Which leaves differ, and how many round trips it took to know; undefined where there are too many for a sketch, or it was the one of very many that names nothing. */
  async #sketchedLeaves(digests: Digests, { sketch, partitions, unknown }: RootAnswer, { view, atMs }: { readonly view: View; readonly atMs: number }): Promise<{ readonly leaves: readonly LeafRef[]; readonly rounds: number } | undefined> {
    if (sketch === undefined) return undefined;
    const scopes = this.#scopes.map(({ group, partitions: shared }): Scope => ({ group, partitions: unknown.includes(group) ? [] : shared }));
    const first = await this.#leavesIn(digests, scopes, sketch.leaves);
    if (first !== undefined) return { leaves: first, rounds: 1 };
    const mine = await view.partitions(scopes);
    const branches = await sampledBranches(view, scopes);
    const cells = cellsNeeded(byScope(scopes, mine.map(folded), branches.map(folded)), byScope(scopes, partitions, sketch.branches));
    if (cells === undefined) return undefined;
    const answer = await this.#ask({ type: 'sketch', deep: false, atMs, groups: scopes.map(({ group }) => group), cells });
    const leaves = await this.#leavesIn(digests, scopes, Sketch.decode(new ByteReader(answer)));
    return leaves === undefined ? undefined : { leaves, rounds: 2 };
  }

  async #leavesIn(digests: Digests, scopes: readonly Scope[], theirs: Sketch): Promise<readonly LeafRef[] | undefined> {
    theirs.take(await sketchOf(digests, scopes, { cells: theirs.cells, clock: this.#parts.clock }));
    const leaves = theirs.names()?.map((place) => leafAt(place, scopes));
    return leaves?.every((leaf) => leaf !== undefined) === true ? leaves : undefined;
  }

  /**
   * Of tables that keep no digests (DynamoDB): a few partitions at a time, each scanned by both sides; those that were seen
   * to be equal are not scanned again. What was equal at some moment of the run differs by what came since, so the run as a
   * whole is one look (4).
   */
  async #compareByScans(now: Look, { mayLag }: { readonly mayLag: boolean }): Promise<Pass> {
    const { table, time, hash, keyedHash } = this.#parts;
    const look = (this.#scansLook ??= mayLag ? { ...now, beganMs: now.beganMs - SCAN_LAG_MS_MAX } : now);
    const differing: DifferingItem[] = [];
    const unequal: BranchRef[] = [];
    let more = false;
    this.#scannedAtMs = Math.max(this.#scannedAtMs, time.readersMs());
    this.#unequal ??= refsOf(this.#scopes);
    for (const refs of chunks(this.#unequal, PARTITIONS_PER_SCAN)) {
      const doubtful = mayLag ? (await this.#scan(refs, { mayLag })).unequal : refs;
      const found = await this.#scan(doubtful, { mayLag: false }); // 6
      differing.push(...found.differing);
      more ||= found.more;
      unequal.push(...found.unequal);
    }
    this.#unequal = unequal;
    return { view: new DeepView(table, this.#scannedAtMs, hash, keyedHash), look, atMs: this.#scannedAtMs, equal: unequal.length === 0, root: this.#equalSum, differing, more, isWhole: true };
  }

  /** Of partitions, by both sides. What differs in them is not looked for where it may be nothing. */
  async #scan(refs: readonly BranchRef[], { mayLag }: { readonly mayLag: boolean }): Promise<{ readonly unequal: readonly BranchRef[]; readonly differing: readonly DifferingItem[]; readonly more: boolean }> {
    if (refs.length === 0) return { unequal: [], differing: [], more: false };
    const { table, time, hash, keyedHash } = this.#parts;
    const atMs = (this.#scannedAtMs = Math.max(this.#scannedAtMs + 1, time.readersMs())); // tells this scan from the one before, for the side that is asked
    const view = new DeepView(table, atMs, hash, keyedHash, { mayLag });
    const descent = new Descent({ view, deep: true, atMs, mayLag, takesSums: false, ask: (question, timeoutMs) => this.#ask(question, timeoutMs) });
    const leaves = await descent.leaves(refs);
    const found = await descent.items(mayLag ? [] : leaves);
    this.#noteDeep(view);
    this.report.rounds = Math.max(this.report.rounds, leaves.length === 0 ? 1 : 2 + found.rounds);
    const isUnequal = (ref: BranchRef): boolean => leaves.some(({ group, partition }) => group === ref.group && partition === ref.partition);
    const equal = refs.filter((ref) => !isUnequal(ref)).map(({ group, partition }): Scope => ({ group, partitions: [partition] }));
    this.#equalSum = addSums(this.#equalSum, await view.root(equal));
    return { ...found, unequal: refs.filter(isUnequal) };
  }

  /** 6 */
  get #canLag(): boolean {
    const { catalog, lanes, region } = this.#parts;
    return lanes.get(this.#link.id)?.behind === 0 && [region, this.#link.id].every((id) => catalog.entry(id)?.state === 'active');
  }

  #noteDeep(view: DeepView): void {
    this.report.wrongDigests = Math.max(this.report.wrongDigests, view.wrongDigests.length);
    this.#noteCorrupt(view.corrupt.map(({ key }) => key));
  }

  #noteCorrupt(keys: readonly ItemKey[]): void {
    const known = new Set(this.report.corrupt.map(({ key }) => keyName(key)));
    for (const { collection, encoded } of keys) if (!known.has(keyName(encoded))) this.report.corrupt.push({ collection, key: encoded });
  }

  async #differingPartitions(view: View, answer: ReturnType<typeof decodeRootAnswer>): Promise<BranchRef[]> {
    const scopes = this.#scopes.filter(({ group }) => !answer.unknown.includes(group));
    const refs = refsOf(scopes);
    if (answer.partitions.length !== refs.length) throw new ArchipelError('peer-refused', `${this.#link.id} places partitions differently.`, { reason: 'topology-different' });
    const mine = await view.partitions(scopes);
    return differingPositions(answer.sketch === undefined ? mine : mine.map(folded), answer.partitions).map((at) => refs[at] as BranchRef);
  }

  // Moving ----------------------------------------------------------------------------------------------------------------

  /** 3: both sides get the other's state and merge. */
  async #repair(items: readonly DifferingItem[], view: View, { hasty, takesOnly }: { readonly hasty: boolean; readonly takesOnly: boolean }): Promise<void> {
    for (const { key } of items) this.#left.delete(keyName(key));
    for (const chunk of chunks(items.filter(({ theirs, newestMs }) => theirs !== undefined || newestMs > 0), FETCH_KEYS)) await this.#pull(chunk.map(({ key }) => key));
    if (takesOnly) return;
    const keys = await Promise.all(items.map(async ({ key }) => ((await view.newestMs(key)) > 0 ? key : undefined)));
    const mine = keys.filter((key) => key !== undefined);
    await this.#push(hasty ? await this.#parts.restored.judge(mine) : mine); // from before it was restored, perhaps
  }

  async #pull(keys: readonly Uint8Array[]): Promise<void> {
    let left = [...keys];
    while (left.length > 0) {
      const question = encodeRecords(left.map((key) => ({ key, state: new Uint8Array(0) })));
      const answer = await this.#exchange('fetch', question);
      const records = decodeRecords(answer);
      this.report.requests++;
      this.report.bytes += question.length + answer.length;
      await this.#heal(records);
      const sound = records.filter((record) => isSoundRecord(record, this.#parts.hash));
      const receipts = await this.#parts.applier.apply(this.#link.id, sound);
      this.#noteLeft(sound, receipts);
      // mark if (receipts.includes('applied')): difference pulled
      this.report.pulled += receipts.filter((receipt) => receipt === 'applied').length;
      this.report.notStored += receipts.filter((receipt) => receipt === 'failed').length;
      // The answer is bounded by bytes: ask for the rest. A key it passes over is not held there any more.
      const last = records.at(-1);
      const at = last === undefined ? -1 : left.findIndex((key) => keyName(key) === keyName(last.key));
      if (at === -1) return;
      left = left.slice(at + 1);
    }
  }

  #noteLeft(records: readonly SentRecord[], receipts: readonly Receipt[]): void {
    for (const [at, { key }] of records.entries()) if (receipts[at] !== 'applied') this.#left.add(keyName(key));
  }

  /** A merge keeps what is stored under the same dot; where those bytes are not what was written, the peer's are taken. */
  async #heal(records: readonly SentRecord[]): Promise<void> {
    const corrupt = new Set(this.report.corrupt.map(({ key }) => keyName(key)));
    for (const record of records) if (corrupt.has(keyName(record.key))) await heal(this.#parts.table, record, this.#parts.hash);
  }

  /** Undefined for what the peer does not hold, and for what is not what was written: that is named, and not handed on. */
  async #sendable(encoded: Uint8Array): Promise<SentRecord | undefined> {
    const { table, catalog, hash } = this.#parts;
    const key = decodeKey(encoded);
    const record = key === undefined ? undefined : await readRecord(table, key);
    if (key === undefined || record === undefined || !(catalog.holdersOf(key) ?? []).includes(this.#link.id)) return undefined;
    if (record !== 'unreadable' && isSound(record.state, hash)) return { key: encoded, state: encodeState(record.state) };
    this.#noteCorrupt([key]);
    return undefined;
  }

  async #push(keys: readonly Uint8Array[]): Promise<void> {
    let message: SentRecord[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      if (message.length === 0) return;
      const body = encodeRecords(message);
      const receipts = decodeReceipts(await this.#exchange('merge', body), message.length);
      this.#noteLeft(message, receipts);
      this.report.requests++;
      this.report.bytes += body.length;
      // mark if (receipts.includes('applied')): difference pushed
      this.report.pushed += receipts.filter((receipt) => receipt === 'applied').length;
      message = [];
      bytes = 0;
    };
    for (const encoded of keys) {
      const sent = await this.#sendable(encoded);
      if (sent === undefined) this.#left.add(keyName(encoded));
      else {
        if (bytes + sentBytes(sent) > MESSAGE_BYTES_PACKED) await flush();
        message.push(sent);
        bytes += sentBytes(sent);
      }
    }
    await flush();
  }

  /** Another document is in force: perhaps the two share by now what was not compared. */
  get isOutdated(): boolean {
    return judgeTopology(this.#topology, this.#parts.catalog.version) !== 'same';
  }

  certificate({ atMs, root, since }: Compared, deep: boolean, token: number): Certificate {
    const { term, epoch } = this.#topology;
    const [a, b] = [this.#parts.region, this.#link.id].sort() as [RegionId, RegionId];
    const groups = this.#scopes.map(({ group, partitions }) => ({ group, partitions: partitions.length }));
    return { regions: [a, b], term, epoch, groups, digest: formatSum(root), deep, atMs, noDifferenceOlderThanMs: Math.max(YOUNG_MS, Math.ceil(atMs - since.beganMs)), token };
  }
}
