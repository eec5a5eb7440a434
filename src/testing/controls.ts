// Known bugs, to see that the checkers catch them: a checker that never fails proves nothing. Each is an edit of the
// product's source, put in while it is loaded (sabotage.ts).

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
  /** A seed that is known to catch it. */
  readonly seed: number;
}

export const CONTROLS: readonly Control[] = [
  {
    name: 'ledger-row-skipped-for-the-replaced',
    what: 'A write that is replaced by a concurrent one leaves no ledger row: it is gone, and nobody can tell.',
    edits: [{ file: 'core/version/lww.ts', find: "losses: [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }", replace: "losses: larger ? losses : [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }" }],
    seed: 0,
  },
  {
    name: 'ledger-row-skipped-for-the-late',
    what: 'A write that arrives and loses leaves no ledger row.',
    edits: [{ file: 'core/version/lww.ts', find: "losses: [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }", replace: "losses: larger ? [...losses, lossOf(loser, loserDot, winnerDot, 'lww')] : losses, kind }" }],
    seed: 0,
  },
  {
    name: 'merge-not-commutative',
    what: 'What arrives last wins: replicas differ for ever.',
    edits: [{ file: 'core/version/lww.ts', find: 'const larger = compareDots(arrived, head) > 0;', replace: 'const larger = true;' }],
    seed: 0,
  },
  {
    name: 'superseded-retry-taken',
    what: 'A retry that comes late beats the write that had superseded its first execution.',
    edits: [{ file: 'core/version/lww.ts', find: 'if (isSupersededRetry(mine, head, theirs, arrived)) {', replace: 'if (false as boolean) {' }],
    seed: 0,
  },
  {
    name: 'twins-told-apart',
    what: 'A retry that was executed in a second region comes back after somebody has written over the first execution.',
    edits: [{ file: 'core/version/siblings.ts', find: 'return isGone(dot) || twinDots(operations, dot).some(isGone);', replace: 'return isGone(dot);' }],
    seed: 0,
  },
  {
    name: 'sibling-cap-silent',
    what: 'Siblings above the hard cap vanish without a ledger row.',
    edits: [{ file: 'core/version/siblings.ts', find: "return { state: { ...state, values: kept }, losses, kind: 'local' };", replace: "return { state: { ...state, values: kept }, losses: losses.slice(0, 0), kind: 'local' };" }],
    seed: 0,
  },
  {
    name: 'stamps-as-numbers',
    what: 'A stamp that passes through a JavaScript number loses its last bits: one dot names two writes.',
    edits: [{ file: 'core/version/stamp.ts', find: 'asStamp(stamp + 1n);', replace: 'asStamp(BigInt(Number(stamp + 1n)));' }],
    seed: 0,
  },
  {
    name: 'stamp-not-above-the-context',
    what: 'A write gets a smaller stamp than what its author had read, and loses against it.',
    edits: [{ file: 'core/version/write.ts', find: 'maxStamp(maxStamp(floorOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine)', replace: 'maxStamp(floorOf(state), setting.reapedLine)' }],
    seed: 0,
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
    seed: 0,
  },
  {
    name: 'acknowledged-before-durable',
    what: 'A write is answered before it is on the disk: a crash takes back what was promised.',
    edits: [{ file: 'adapters/sim/table.ts', find: '    await settled;\n    if (commit === undefined) await pending', replace: '    settled.catch(() => undefined);\n    if (commit === undefined) await pending' }],
    seed: 0,
  },
  {
    name: 'read-before-durable',
    what: 'A reader is shown what a crash takes back.',
    edits: [{ file: 'adapters/sim/table.ts', find: 'return this.#items.get(keyText(key.encoded))?.record;', replace: 'return this.#newest(keyText(key.encoded))?.record;' }],
    seed: 0,
  },
  {
    name: 'sent-before-durable',
    what: 'A peer is sent what this region then loses in a crash.',
    edits: [{ file: 'adapters/sim/change-log.ts', find: '    return made;', replace: '    this.durable();\n    return made;' }],
    seed: 0,
  },
  {
    name: 'digest-not-updated',
    what: 'What a write replaces stays in the digest: differences are seen where there are none, and missed where there are some.',
    edits: [{ file: 'adapters/sim/table.ts', find: 'leafOf(encoded), addSums(before, item.record.element));', replace: 'leafOf(encoded), item.record.element);' }],
    seed: 0,
  },
  {
    name: 'relaxed-start-without-new-incarnation',
    what: 'After a power cut the region issues dots again that it had issued before.',
    edits: [{ file: 'testing/cluster.ts', find: 'note?.clean !== true;', replace: 'note?.clean === false && false;' }, { file: 'engine/region.ts', find: 'theirs > this.#storedStamp)', replace: 'theirs < 0n)' }, { file: 'engine/region.ts', find: 'if (silent.length === 0 ||', replace: 'if (true ||' }],
    seed: 0,
  },
  {
    name: 'gap-not-noticed',
    what: 'A region whose disk was rolled back goes on under its old name, and claims to have seen what it forgot.',
    edits: [{ file: 'engine/region.ts', find: 'theirs > this.#storedStamp)', replace: 'theirs < 0n)' }, { file: 'engine/region.ts', find: 'if (silent.length === 0 ||', replace: 'if (true ||' }],
    seed: 0,
  },
  {
    name: 'cursor-moved-before-hint',
    what: 'The log is trimmed past what no peer has and no hint names: a crash forgets to send it.',
    edits: [{ file: 'engine/fan-out.ts', find: 'done: () => this.#done(batch) });', replace: 'done: () => undefined });\n      batch.pending--;' }],
    seed: 0,
  },
  {
    name: 'hints-not-counted',
    what: 'The live RPO leaves out what waits in hints: it promises more than it holds.',
    edits: [{ file: 'engine/owed.ts', find: 'return this.#entries.size + depth - both;', replace: 'return this.#entries.size - both;' }],
    seed: 0,
  },
  {
    name: 'breaker-never-closes',
    what: 'A link that failed once is never used again.',
    edits: [{ file: 'core/routing/breaker.ts', find: "if (this.#state !== 'closed') this.#close();", replace: '' }],
    seed: 0,
  },
  {
    name: 'bare-context-after-put',
    what: 'A PUT answers with a context that covers siblings which the client never saw: its next write drops them.',
    edits: [{ file: 'http/items.ts', find: "if (mayTellContext) fields['causal-context'] =", replace: "if (state !== undefined) fields['causal-context'] =" }],
    seed: 0,
  },
  {
    name: 'context-of-another-item',
    what: 'A context that was read with one item is good for another.',
    edits: [{ file: 'auth/context-tokens.ts', find: 'signed.reset().bytes(key.encoded).bytes(body)', replace: 'signed.reset().bytes(body)' }],
    seed: 0,
  },
  {
    name: 'edge-tells-a-refusal-after-a-lost-answer',
    what: 'The edge says 412 although the region that it asked first had done the write.',
    edits: [{ file: 'http/edge-app.ts', find: 'if (isUnknown && how.isWrite && answer.status >= 400) break;', replace: '' }],
    seed: 0,
  },
];

/** @throws Error for an unknown name */
export function controlNamed(name: string): Control {
  const control = CONTROLS.find((each) => each.name === name);
  if (control === undefined) throw new Error(`There is no control ${name}. There are: ${CONTROLS.map((each) => each.name).join(', ')}.`);
  return control;
}
