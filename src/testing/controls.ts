// Known bugs, to see that the checkers catch them: a checker that never fails proves nothing. Each is an edit of the
// product's source, put in while it is loaded (sabotage.ts).

import { CONTROLS_BY_TEST } from './controls-by-test.ts';
import { VERDICT_CONTROLS } from './controls-of-verdicts.ts';

export interface Edit {
  /** Below src. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Control {
  readonly name: string;
  /** What is wrong, and what it would do to a user. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** A seed that is known to catch it, with the swarm as it was then; undefined while none is known. */
  readonly seed?: number;
  /** Where hardly a seed meets it: a test that fails with it (caught-by-test.ts). */
  readonly test?: { readonly file: string; readonly name: string };
}

/** A control that so many seeds in a row do not catch is not caught. */
export const CONTROL_SEEDS_MAX = 400;

/** The known seed, or one of the next: a change of the swarm moves what a seed does, and need not move them all. */
export const KNOWN_SEEDS_MAX = 20;

const CONTROLS_BY_SEED: readonly Control[] = [
  {
    name: 'ledger-row-skipped-for-the-replaced',
    what: 'A write that is replaced by a concurrent one leaves no ledger row: it is gone, and nobody can tell.',
    edits: [{ file: 'core/version/lww.ts', find: "losses: [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }", replace: "losses: larger ? losses : [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }" }],
    seed: 6,
  },
  {
    name: 'ledger-row-not-sent',
    what: 'The row of a write that lost where nobody else could see it stays in one region: lost with that one, the write is gone without an account.',
    edits: [{ file: 'engine/ledger.ts', find: '    ...(isSent(loss) ? { isSent: true as const } : {}),\n', replace: '' }],
    seed: 2,
  },
  {
    name: 'merge-not-commutative',
    what: 'What arrives last wins: replicas differ for ever.',
    edits: [{ file: 'core/version/lww.ts', find: 'const larger = compareDots(arrived, head) > 0;', replace: 'const larger = true;' }],
    seed: 1,
  },
  {
    name: 'twins-told-apart',
    what: 'A retry that was executed in a second region comes back after somebody has written over the first execution.',
    edits: [{ file: 'core/version/siblings.ts', find: 'return isGone(dot, side) || twinDots(operations, dot).some((twin) => isGone(twin, side));', replace: 'return isGone(dot, side);' }],
    seed: 10,
  },
  {
    name: 'sibling-cap-silent',
    what: 'Siblings above the hard cap vanish without a ledger row.',
    edits: [{ file: 'core/version/siblings.ts', find: "return { state: { ...state, values: kept }, losses, kind: 'local' };", replace: "return { state: { ...state, values: kept }, losses: losses.slice(0, 0), kind: 'local' };" }],
    seed: 30_036,
  },
  {
    name: 'stamps-as-numbers',
    what: 'A stamp that passes through a JavaScript number loses its last bits: one dot names two writes.',
    edits: [{ file: 'core/version/stamp.ts', find: 'asStamp(stamp + 1n);', replace: 'asStamp(BigInt(Number(stamp + 1n)));' }],
    seed: 2,
  },
  {
    name: 'precondition-before-operation',
    what: 'A retry of a write that was done is answered with 412.',
    edits: [
      {
        file: 'core/version/write.ts',
        find: '  const known = write.operation === undefined ? undefined',
        replace: '  const early = judge(state, write, setting);\n  if (early !== undefined) return refuse(early);\n  const known = write.operation === undefined ? undefined',
      },
    ],
    seed: 1,
  },
  {
    name: 'acknowledged-before-durable',
    what: 'A write is answered before it is on the disk: a crash takes back what was promised.',
    edits: [{ file: 'adapters/sim/table.ts', find: '    await settled;\n    if (commit === undefined) await pending', replace: '    settled.catch(() => undefined);\n    if (commit === undefined) await pending' }],
    seed: 1,
  },
  {
    name: 'read-before-durable',
    what: 'A reader is shown what a crash takes back.',
    edits: [{ file: 'adapters/sim/table.ts', find: 'return this.#items.get(keyText(key.encoded))?.record;', replace: 'return this.#newest(keyText(key.encoded))?.record;' }],
    seed: 2,
  },
  {
    name: 'sent-before-durable',
    what: 'A peer is sent what this region then loses in a crash.',
    edits: [{ file: 'adapters/sim/change-log.ts', find: '    return made;', replace: '    this.durable();\n    return made;' }],
    seed: 1,
  },
  {
    name: 'digest-not-updated',
    what: 'What a write replaces stays in the digest: differences are seen where there are none, and missed where there are some.',
    edits: [{ file: 'adapters/sim/table.ts', find: 'leafOf(encoded), addSums(before, item.record.element));', replace: 'leafOf(encoded), item.record.element);' }],
    seed: 1,
  },
  {
    name: 'mark-after-apply',
    what: 'What was applied is entered in the digest in a second step: a crash between the two leaves a digest that proves what is not so.',
    edits: [
      { file: 'adapters/sim/table.ts', find: 'const element = elementOf(key.encoded, state, this.#lineMs, this.#keyedHash);', replace: "const element = kind === 'applied' ? (seen?.record.element ?? ZERO_SUM) : elementOf(key.encoded, state, this.#lineMs, this.#keyedHash);" },
      {
        file: 'adapters/sim/table.ts',
        find: 'return this.#write({ name, item, kind, before: seen?.record.element ?? ZERO_SUM, lost });',
        replace: `const written = this.#write({ name, item, kind, before: seen?.record.element ?? ZERO_SUM, lost });
    const enter = (): void => {
      const now = this.#newest(name);
      const right = elementOf(key.encoded, state, this.#lineMs, this.#keyedHash);
      if (now?.record.state === state && !sameSum(right, now.record.element)) this.#write({ name, item: { key, record: { ...now.record, element: right } }, kind: 'swept', before: now.record.element, lost: [] }, true).catch(() => undefined);
    };
    if (kind === 'applied') written.then(enter).catch(() => undefined);
    return written;`,
      },
    ],
    seed: 84,
  },
  {
    name: 'cursor-moved-before-hint',
    what: 'The log is trimmed past what no peer has and no hint names: a crash forgets to send it.',
    edits: [
      { file: 'engine/fan-out.ts', find: '      batch.pending++;\n', replace: '' },
      { file: 'engine/fan-out.ts', find: 'position, committedMs, done: batch.done });', replace: 'position, committedMs, done: () => undefined });' },
    ],
    seed: 8,
  },
  {
    name: 'hints-not-counted',
    what: 'The live RPO leaves out what waits in hints: it promises more than it holds.',
    edits: [{ file: 'engine/owed.ts', find: 'return this.#entries.size + depth - both;', replace: 'return this.#entries.size - both;' }],
    seed: 1,
  },
  {
    name: 'breaker-never-closes',
    what: 'A link that failed once is never used again.',
    edits: [{ file: 'core/routing/breaker.ts', find: "if (this.#state !== 'closed') this.#close();", replace: '' }],
    seed: 1,
  },
  {
    name: 'bare-context-after-put',
    what: 'A PUT answers with a context that covers siblings which the client never saw: its next write drops them.',
    edits: [{ file: 'http/items.ts', find: "if (mayTellContext) fields['causal-context'] =", replace: "if (state !== undefined) fields['causal-context'] =" }],
    seed: 6,
  },
  {
    name: 'context-of-another-item',
    what: 'A context that was read with one item is good for another.',
    edits: [{ file: 'auth/context-tokens.ts', find: 'signed.reset().bytes(key.encoded).bytes(body)', replace: 'signed.reset().bytes(body)' }],
    seed: 5,
  },
  {
    name: 'edge-tells-a-refusal-after-a-lost-answer',
    what: 'The edge says 412 although the region that it asked first had done the write.',
    edits: [{ file: 'http/edge-app.ts', find: 'if (isUnknown && how.isWrite && answer.status >= 400) break;', replace: '' }],
    seed: 60,
  },
  {
    name: 'unseen-value-replaced-silently',
    what: 'A write whose context had not seen the stored value replaces it, and no row tells of it.',
    edits: [{ file: 'core/version/write.ts', find: "const losses = unseen ? [...policyLosses, lossOf(mine, replaced.dot, dot, 'lww')] : policyLosses;", replace: 'const losses = policyLosses;' }],
    seed: 6,
  },
  {
    name: 'operation-decides-who-wins',
    what: 'A late retry loses against what superseded it without a new write above it: the order is circular, and replicas differ for ever.',
    edits: [{ file: 'core/version/lww.ts', find: "    if (!larger) return { state: withOperations(mine, operations), losses, kind, note: 'twin' };", replace: "    if ((true as boolean)) return { state: withOperations(mine, operations), losses, kind, note: 'twin' };" }],
    seed: 365_863_901_809,
  },
  {
    name: 'operation-remembered-once',
    what: 'Of two executions of one operation the second is forgotten, so its value comes back when the first is written over.',
    edits: [{ file: 'core/version/operations.ts', find: 'if (!a.entries.some((mine) => sameEntry(mine, entry))) all.push(entry);', replace: 'if (!a.entries.some((mine) => mine.id === entry.id)) all.push(entry);' }],
    seed: 2,
  },
  {
    name: 'clock-not-merged',
    what: "Stamps that arrive do not raise the region's own: a write that was accepted loses in its own region against what it replaced.",
    edits: [
      { file: 'engine/timekeeper.ts', find: '    this.#hybrid.observe(stamp);', replace: '    void stamp;' },
      { file: 'core/version/write.ts', find: 'maxStamp(maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine)', replace: 'maxStamp(largestStamp(write.context ?? EMPTY_VECTOR), setting.reapedLine)' },
    ],
    seed: 3,
  },
  {
    name: 'dot-reused-after-restart',
    what: 'The clock begins again where the wall stands, below what was stored: a new write is older than what it replaces.',
    edits: [
      { file: 'engine/timekeeper.ts', find: 'this.#hybrid = new HybridClock(last);', replace: 'this.#hybrid = new HybridClock();' },
      { file: 'core/version/write.ts', find: 'maxStamp(maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine)', replace: 'setting.reapedLine' },
    ],
    seed: 3,
  },
  {
    name: 'hint-dropped-when-full',
    what: 'The hint queue is full and what does not fit is forgotten without being counted: the live RPO is too low, and nobody repairs the peer.',
    edits: [{ file: 'engine/lane.ts', find: '      await this.#drop(items.length - kept.length);\n', replace: '' }],
    seed: 6,
  },
  {
    name: 'hint-dropped-when-refused',
    what: 'The disk takes no hint, and the log is trimmed past the write all the same: the peer never gets it.',
    edits: [{ file: 'engine/lane.ts', find: "      log.write('error', 'hint.failed', { peer: link.id, error: String(error) });\n      this.#keepWaiting(items);", replace: "      log.write('error', 'hint.failed', { peer: link.id, error: String(error) });\n      this.#hinted(items, 0);" }],
    seed: 80,
  },
  {
    name: 'tombstones-in-the-digest',
    what: 'An item without live values counts in the digest: reaping it looks like a difference.',
    edits: [
      { file: 'core/merkle/digest.ts', find: 'if (state === undefined || state.values.length === 0) return ZERO_SUM;', replace: 'if (state === undefined) return ZERO_SUM;' },
      { file: 'core/merkle/digest.ts', find: '  if (live === 0) return ZERO_SUM;\n', replace: '' },
    ],
    seed: 5,
  },
  {
    name: 'placement-not-asked-at-repair',
    what: 'Reconciliation moves items into a region that must not hold them: data leaves the place that it was promised to stay in.',
    edits: [
      { file: 'engine/catalog.ts', find: '(holders.includes(this.#region) && holders.includes(peer) ? [partition] : [])', replace: '(holders.includes(this.#region) || holders.includes(peer) ? [partition] : [])' },
      { file: 'engine/reconcile.ts', find: 'if (key === undefined || record === undefined || !(catalog.holdersOf(key) ?? []).includes(this.#link.id)) return undefined;', replace: 'if (key === undefined || record === undefined) return undefined;' },
      { file: 'engine/apply.ts', find: "return holders !== undefined && !holders.includes(this.#parts.region) ? 'not-held' : undefined; // 4", replace: 'return holders === null ? undefined : undefined;' },
    ],
    seed: 3,
  },
  {
    name: 'applied-change-echoed',
    what: 'What arrived from one region is sent on to the others: every write crosses every link.',
    edits: [
      { file: 'engine/fan-out.ts', find: "      if (entry.kind !== 'local') continue;\n", replace: '' },
      { file: 'engine/fan-out.ts', find: "if (entry.kind === 'local') newest.set(nameOf(entry), entry); // filter first, coalesce then", replace: 'newest.set(nameOf(entry), entry);' },
    ],
    seed: 1,
  },
  {
    name: 'coalesced-before-filtered',
    what: 'A write of this region is judged by what was applied to its item a moment later, and never sent.',
    edits: [
      {
        file: 'engine/fan-out.ts',
        find: "if (this.#parts.lanes.size > 0) for (const entry of entries) if (entry.kind === 'local') newest.set(nameOf(entry), entry); // filter first, coalesce then",
        replace: "for (const entry of entries) newest.set(nameOf(entry), entry);\n    for (const [name, entry] of newest) if (entry.kind !== 'local') newest.delete(name);",
      },
    ],
    seed: 6,
  },
  {
    name: 'log-never-trimmed',
    what: 'The change log keeps what every peer has: it grows for ever.',
    edits: [{ file: 'engine/fan-out.ts', find: '    this.#parts.changes.trim(trimTo);\n', replace: '' }],
    seed: 1,
  },
  {
    name: 'lease-without-fencing',
    what: 'A new holder gets the token of the one before: nobody can tell who of the two was overtaken.',
    edits: [{ file: 'engine/lease.ts', find: 'token: Math.max((before?.token ?? 0) + 1, nowMs)', replace: 'token: before?.token ?? nowMs' }],
    seed: 1,
  },
  {
    name: 'retry-without-deadline',
    what: 'The edge waits for a region as long as the connection stands: its client has long given up.',
    edits: [{ file: 'http/edge-app.ts', find: 'const timeoutMs = how.mayRepeat ? Math.min(EDGE_ATTEMPT_MS, leftMs) : leftMs;', replace: 'const timeoutMs = 60_000;' }],
    seed: 1,
  },
  {
    name: 'tag-of-an-earlier-read',
    what: 'A read shows the tag of an earlier one: it names a version that the region does not hold any more.',
    edits: [{ file: 'http/items.ts', find: 'const shown = { state, tag: tagOfDots(', replace: 'const shown = { state, tag: before?.tag ?? tagOfDots(' }],
    seed: 2,
  },
  {
    name: 'hints-without-limit',
    what: 'A peer that is away fills the disk with hints.',
    edits: [{ file: 'engine/lane.ts', find: 'const room = Math.max(0, limits.hintsPerPeer - (await hints.depth()));', replace: 'const room = items.length;' }],
    seed: 8,
  },
  {
    name: 'compare-and-set-on-an-old-read',
    what: 'The commit does not look whether the item has changed since it was read: of two writes with one If-Match both succeed.',
    edits: [{ file: 'adapters/sim/table.ts', find: "        if (this.#newest(name) !== seen && this.#process.world.count('conditional write lost the race')) continue;\n", replace: '' }],
    seed: 2,
  },
  {
    name: 'expired-value-read',
    what: 'A value is shown after its time to live.',
    edits: [{ file: 'core/version/record.ts', find: 'return state.values.every(({ value }) => !isExpired(value, nowMs)) ? state.values : state.values.filter(({ value }) => !isExpired(value, nowMs));', replace: 'return nowMs < 0 ? [] : state.values;' }],
    seed: 13,
  },
  {
    name: 'origin-filter-on-the-record',
    what: 'Whether a write is sent is judged by the record as it is by then: what was merged a moment later takes it along.',
    edits: [
      { file: 'adapters/sim/table.ts', find: '(name) => this.#items.get(name)?.record.state);', replace: '(name) => this.#items.get(name)?.record);' },
      { file: 'adapters/sim/change-log.ts', find: '{ image: imageOf(later) }', replace: '{ image: imageOf(later.state), kind: later.kind }' },
    ],
    seed: 23,
  },
  ...VERDICT_CONTROLS,
  {
    name: 'line-raised-after-the-record-goes',
    what: 'Between the two nothing keeps an old message away.',
    edits: [
      { file: 'engine/reap.ts', find: '    await lines.raise(linesOf(proposals)); // before anything goes\n', replace: '' },
      { file: 'engine/reap.ts', find: '    return gone.filter(Boolean).length;', replace: '    await this.#parts.lines.raise(linesOf(proposals));\n    return gone.filter(Boolean).length;' },
    ],
    seed: 17,
  },
  {
    name: 'tombstone-reaped-by-age',
    what: 'A tombstone is old, so it goes: a replica that never saw it brings the deleted value back.',
    edits: [{ file: 'engine/reap.ts', find: 'reaped += await this.#propose(part);', replace: 'reaped += await this.#reap({ atMs: this.#parts.time.nowMs(), proposals: part });' }],
    seed: 20_027,
  },
  {
    name: 'reaped-with-a-replica-unasked',
    what: 'Only the replicas that are up are asked: the one that is away has the deleted value still.',
    edits: [{ file: 'engine/reap.ts', find: 'return others.every((id) => links.get(id)?.isUp() === true && lanes.get(id)?.isPaused === false) ? others : undefined;', replace: 'return others.filter((id) => links.get(id)?.isUp() === true && lanes.get(id)?.isPaused === false);' }],
    seed: 52,
  },
];

export const CONTROLS: readonly Control[] = [...CONTROLS_BY_SEED, ...CONTROLS_BY_TEST];

/** @throws Error for an unknown name */
export function controlNamed(name: string): Control {
  const control = CONTROLS.find((each) => each.name === name);
  if (control === undefined) throw new Error(`There is no control ${name}. There are: ${CONTROLS.map((each) => each.name).join(', ')}.`);
  return control;
}
