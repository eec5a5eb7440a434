// Known bugs that hardly a seed meets: each names the test that fails with it.

import type { Control } from './controls.ts';

export const CONTROLS_BY_TEST: readonly Control[] = [
  {
    name: 'ledger-row-skipped-for-the-late',
    what: 'A write that arrives and loses leaves no ledger row.',
    edits: [{ file: 'core/version/lww.ts', find: "losses: [...losses, lossOf(loser, loserDot, winnerDot, 'lww')], kind }", replace: "losses: larger ? [...losses, lossOf(loser, loserDot, winnerDot, 'lww')] : losses, kind }" }],
    test: { file: 'test/core/lww.test.ts', name: 'neither covers: the larger stands and the other is a loss, in both orders' },
  },
  {
    name: 'superseded-retry-taken',
    what: 'A retry that comes late beats the write that had superseded its first execution.',
    edits: [{ file: 'core/version/lww.ts', find: 'if (isSupersededRetry(mine, head, theirs, arrived)) {', replace: 'if (false as boolean) {' }],
    test: { file: 'test/scenarios/operations.test.ts', name: 'a region that has not heard of it nor of what superseded it' },
  },
  {
    name: 'stamp-not-above-the-context',
    what: 'A write gets a smaller stamp than what its author had read, and loses against it.',
    edits: [{ file: 'core/version/write.ts', find: 'maxStamp(maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine)', replace: 'maxStamp(largestStampOf(state), setting.reapedLine)' }],
    test: { file: 'test/core/write.test.ts', name: 'is raised above the given context, of any actor' },
  },
  {
    name: 'relaxed-start-without-new-incarnation',
    what: 'After a power cut the region goes on under its name, and claims to have seen what it forgot. (What had arrived at a peer it would be told.)',
    edits: [{ file: 'adapters/level/identity.ts', find: "return durability === 'relaxed' && !note.clean ? 'unclean' : 'same';", replace: "return durability === 'relaxed' && note.clean ? 'same' : 'same';" }],
    test: { file: 'test/adapters/level-identity.test.ts', name: 'relaxed, not stopped cleanly' },
  },
  {
    name: 'dot-reused-after-reaping',
    what: 'Stamps count by item and not above the reaped line, so they begin again when the record is reaped: a new write bears the name of one that was deleted.',
    edits: [
      { file: 'core/version/write.ts', find: 'maxStamp(maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR)), setting.reapedLine)', replace: 'maxStamp(largestStampOf(state), largestStamp(write.context ?? EMPTY_VECTOR))' },
      { file: 'core/version/write.ts', find: 'raiseAbove(setting.stamp, floor)', replace: 'raiseAbove(0n as Stamp, floor)' },
    ],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'an item is born again' },
  },
  {
    name: 'gap-not-noticed',
    what: 'A region whose disk was rolled back goes on under its old name, and claims to have seen what it forgot.',
    edits: [{ file: 'engine/incarnation.ts', find: 'theirs > this.#storedStamp || isOlder', replace: 'theirs < 0n' }, { file: 'engine/incarnation.ts', find: 'if (silent.length === 0 ||', replace: 'if (true ||' }],
    test: { file: 'test/scenarios/identity.test.ts', name: 'rolled back -> a new incarnation' },
  },
  {
    name: 'retry-executed-again',
    what: 'A retry of a write that stands is written once more: who watches the item sees a change that nobody made.',
    edits: [{ file: 'core/version/write.ts', find: '  if (known !== undefined) return isReused', replace: '  if (known !== undefined && (isConditional(write) || !state.values.some(({ dot }) => dot.stamp === known.dot.stamp))) return isReused' }],
    test: { file: 'test/scenarios/operations.test.ts', name: 'at the same region -> duplicate' },
  },
  {
    name: 'operations-never-forgotten',
    what: 'A record remembers every operation that it ever took: a counter that is written every second grows without end.',
    edits: [{ file: 'core/version/operations.ts', find: 'for (const entry of sorted.slice(OPERATIONS_MAX)) gone', replace: 'for (const entry of sorted.slice(sorted.length)) gone' }, { file: 'core/version/operations.ts', find: 'sorted.slice(0, OPERATIONS_MAX).filter', replace: 'sorted.filter' }],
    test: { file: 'test/scenarios/operations.test.ts', name: 'after nine later writes' },
  },
  {
    name: 'late-states-not-asked-for',
    what: 'An old message brings back what was deleted and reaped.',
    edits: [{ file: 'engine/apply.ts', find: "    if (lateValues(incoming, current?.state, line).length > 0) return { result: LATE }; // 6\n", replace: '' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'an old message is delivered again after reaping' },
  },
  {
    name: 'late-states-ignored',
    what: 'A write that is delivered for the first time after the line has passed it is dropped.',
    edits: [{ file: 'engine/apply.ts', find: "    if (lateValues(incoming, current?.state, line).length > 0) return { result: LATE }; // 6", replace: "    if (lateValues(incoming, current?.state, line).length > 0) return { result: UNCHANGED };" }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'a value is first delivered after the line rose' },
  },
  {
    name: 'reaped-whatever-came-since',
    what: 'What was written between the question and the deletion goes with the tombstone.',
    edits: [{ file: 'engine/reap.ts', find: 'current !== undefined && mayGo(current.state, tombstone, atMs)', replace: 'current !== undefined' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'written again after its replica has agreed' },
  },
  {
    name: 'region-asked-instead-of-incarnation',
    what: 'A region that was restored says that it does not hold its own value, and is believed: the copies that peers hold are removed.',
    edits: [{ file: 'engine/late.ts', find: 'const isSame = issuer.actor === dot.actor;', replace: 'const isSame = issuer.actor !== undefined;' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'the issuer of a late value was restored' },
  },
  {
    name: 'restored-values-not-judged',
    what: 'A region that was restored from an old copy sends what was deleted and reaped meanwhile.',
    edits: [{ file: 'engine/reconcile.ts', find: 'hasty ? await this.#parts.restored.judge(mine) : mine', replace: 'mine' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'a region is restored from before the delete' },
  },
  {
    name: 'agreements-not-asked-about',
    what: 'A disk is put back to a time from before its region agreed to a reaping, and the region vouches for what is on it.',
    edits: [{ file: 'engine/agreements.ts', find: 'return this.#isCounted && agreed > this.#stored;', replace: 'return this.#isCounted && agreed < this.#stored;' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'since when it has written nothing itself' },
  },
  {
    name: 'agreed-by-a-disk-that-is-no-more',
    what: 'A region agrees to a reaping, and its disk is put back before the answer is heard: the answer counts.',
    edits: [{ file: 'engine/reap.ts', find: 'agreements.life(id) !== lives[at]', replace: 'agreements.life(id) < (lives[at] ?? 0)' }],
    test: { file: 'test/scenarios/reaping.test.ts', name: 'it has agreed, and its disk is put back' },
  },
  {
    name: 'operations-not-in-the-context',
    what: 'A region that knows a write only from a client that had read it elsewhere executes a retry of it, over what was written over it.',
    edits: [{ file: 'core/version/operations.ts', find: 'entries.filter(({ dot }) => covers(context, dot)), evicted });', replace: 'entries.filter(({ dot }) => covers(context, dot) && false), evicted: STAMP_ZERO < 0n ? evicted : STAMP_ZERO });' }],
    test: { file: 'test/http/contexts.test.ts', name: 'a retry of that write comes' },
  },
  {
    name: 'row-acknowledged-while-it-is-written',
    what: 'A row of the ledger that arrives again while it is being written is acknowledged at once: a crash takes it back, and nobody sends it any more.',
    edits: [
      { file: 'adapters/sim/table.ts', find: 'Promise.all([this.#ledgering.get(name), pending?.settled])', replace: 'pending?.settled' },
      { file: 'adapters/level/table.ts', find: 'Promise.all([this.#losses.settled(key), pending?.settled])', replace: 'pending?.settled' },
    ],
    test: { file: 'test/adapters/level.test.ts', name: 'a loser that is told of again while its row is being written' },
  },
  {
    name: 'twins-kept-for-oneself',
    what: 'One write that was done in two regions while its collection became lww stays in one region as two and in the other as one.',
    edits: [{ file: 'engine/collections.ts', find: "if (state === current.state && current.kind === 'local')", replace: 'if (state === current.state)' }],
    test: { file: 'test/scenarios/collections.test.ts', name: 'a write was done twice, in a region that keeps both as siblings' },
  },
  {
    name: 'debt-ended-by-live-values',
    what: 'A certificate, which is of live values, ends what is owed to who comes to hold a partition: a delete does not reach it.',
    edits: [{ file: 'engine/reconciler.ts', find: ' || !(await this.#giveUntold(peer, turn))) return;', replace: ') return;' }],
    test: { file: 'test/scenarios/hand-over.test.ts', name: 'a holder that stays has deleted the item, unknown to the one that leaves' },
  },
  {
    name: 'certificate-of-less',
    what: 'A certificate of the collections that the other region has heard of is taken for one of all.',
    edits: [{ file: 'engine/reconciler.ts', find: 'return [...catalog.groups().keys()].every(isNamed) ? certificate : undefined;', replace: 'return certificate;' }],
    test: { file: 'test/scenarios/topology-replaced.test.ts', name: 'who has not heard of a collection compares what it knows' },
  },
];
