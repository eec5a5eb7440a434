// Seeds that showed something once. A seed means another run as soon as anything that draws from it changes, so each defect
// has a scenario of its own where that is feasible; these are kept because what went wrong once is near what may again.

import { describe, expect, it } from 'vitest';
import type { RareOption } from '../../src/testing/rare.ts';
import { runSeed } from '../../src/testing/run.ts';

const SEEDS: readonly { readonly seed: number; readonly rare?: readonly RareOption[]; readonly showed: string }[] = [
  { seed: 462_578_353, showed: 'an item that was written while a topology document was being put in force counted as lacking nowhere: the live RPO was too low' },
  {
    seed: 462_579_030,
    showed: 'the account forgot that an expired write, lost with its disk, took along the knowledge of what it had replaced; the older value was still under way to a frozen region',
  },
  { seed: 820_000_174, showed: 'a region whose clock was contradicted, 30 s ahead, hid a value that was alive, and handed out a context that covered it' },
  { seed: 840_000_192, showed: 'a question for a lease that arrived twice left a lease that nobody knew of: the pair was shut for 30 s, and two regions did not serve' },
  { seed: 462_578_228, showed: 'the account took a delete that was lost with its disk for one that still accounts for what it had deleted' },
  { seed: 27, showed: 'a region in relaxed durability whose disk was replaced below its files started under a new incarnation, so that nobody told it what it had forgotten, and sent what was deleted and reaped' },
  { seed: 25, rare: ['topology'], showed: 'a run that began before a document was in force and ended after it cleared what a peer had come to lack since; the checker took what one of the holders had for missing at the others' },
  { seed: 115, rare: ['topology'], showed: 'the checker called a copy that its region holds no longer, of an item that was deleted and reaped since, missing at those who hold it' },
  { seed: 180, rare: ['topology'], showed: 'the same, with another fault before it' },
  { seed: 462_578_331, showed: 'a region that knew a write only from the context of a client executed a retry of it, over what had been written over it' },
  { seed: 58, showed: 'an operation that was taken in the millisecond in which its id was made, and forgotten since, was taken again' },
  { seed: 190, showed: 'of two refused hints of an item the older one was kept and the newer one reported done: it came to the peer by reconciliation only' },
  { seed: 462_578_405, showed: 'a write was counted as owed to a region that stopped to hold it before the log was read: the live RPO never came back to 0' },
  { seed: 462_578_595, showed: 'a sweep answered the line of another sweep that was still at it' },
  { seed: 616_136_740_092, showed: 'two states that were settled under one dot when their collection became lww replaced each other for ever: the guard of a blind attempt let the same dot pass' },
  { seed: 191, showed: 'a copy from before the first write of its region was taken for a store that cannot have forgotten any, and a write above the forgotten ones dropped a sibling' },
  { seed: 1_223, showed: 'a certificate ended a debt that it had not looked at: the times of two clocks were compared, of which one had been put back' },
  { seed: 1_505, showed: 'the checker took a delete for unseen whose context a retry had been answered with' },
  { seed: 462_578_481, showed: 'the disk failed while a region that had forgotten stamps noted its new incarnation: it went on as the old one, and covered what it had forgotten' },
  { seed: 462_578_446, showed: 'the account believed contexts that one forgotten record had taken with it' },
  { seed: 462_578_643, showed: 'a delete of an lww collection that was merged before its policy was known stood beside a value for good: the index of siblings did not name the item' },
  { seed: 5_344, showed: 'the checker went on believing stamps of a record that all had reaped' },
  { seed: 5_285, showed: 'the checker took what a region owed of a record that its disk had forgotten for known' },
  { seed: 16, showed: 'the simulated network let two copies of one forwarded request be executed at once: the first was refused, which the client took for definite, and the second was done' },
  { seed: 462_578_529, showed: 'a partition changed hands while one of its two holders had lost its disk: nobody compared the copy that the other had given up' },
  { seed: 900_000_138, showed: 'a value that was deleted while its collection kept siblings came back, when the collection became lww, under the dot of a retry in another region' },
  { seed: 900_000_630, showed: 'the account took an expired write for lost with a disk although another region had dropped it, and knew what it had replaced' },
  { seed: 900_001_896, showed: 'the checker took a retry for back in a region that did not know the policy of its collection yet, and served nothing of it' },
  { seed: 810_000_080, rare: ['policy-change', 'topology'], showed: 'the checker counted the time in which a topology document settles from its writing, and not from when a frozen region heard of it' },
  { seed: 810_000_087, rare: ['policy-change', 'topology'], showed: 'the checker wanted a comparison to bring what had expired to a region that was taken back' },
  { seed: 810_000_113, rare: ['policy-change', 'topology'], showed: 'the checker took a region that still keeps siblings for one that keeps the last write' },
  { seed: 820_000_048, rare: ['region-lost', 'few-hints'], showed: 'the account did not believe a delete whose record was left behind when the topology changed' },
  { seed: 820_000_082, rare: ['region-lost', 'few-hints'], showed: 'a certificate of two regions that share nothing any more ended what one had given up for the other: the live RPO was too low' },
  { seed: 820_000_113, rare: ['region-lost', 'few-hints'], showed: 'the simulated queue no longer counted hints that were acknowledged and not durably gone' },
  { seed: 900_002_646, showed: 'a twin went with its brother in one region, and stayed where the operation had been evicted: copies differed until a comparison' },
  { seed: 900_002_748, showed: 'runs of the schedule that each lasted longer than it followed one another without a gap: the other region, which had to compare before it could answer, never got the lease' },
  { seed: 1_058_464_299_910, showed: 'the account missed what a blind put had replaced under lww, when that put was deleted where its collection still kept siblings' },
  { seed: 81_100_000_080, rare: ['old-copy', 'policy-change'], showed: 'a comparison under the last topology document ended what a peer came to lack under the one that was being put in force' },
  { seed: 81_200_000_043, rare: ['topology', 'amnesia'], showed: 'a look that passed over collections which the peer had not heard of counted as the look before the proof: what was young in them was neither moved nor owed' },
  { seed: 77_700_000_034, showed: 'the checker believed in a change of policy that was lost with the disk of the one region that had it' },
  { seed: 820_996_663_275, showed: 'the same, of a region that got an older copy of its disk' },
  { seed: 820_996_663_313, showed: 'the copies were compared for the last time while a message of a region that had lost its disk since was still on its way' },
  { seed: 111_740_000_001_021, showed: 'two blind writes of an lww item, each retried over the other in the other region, were both lost when a region without the policy merged them as siblings' },
  { seed: 111_750_000_002_813, showed: 'a region that took back what it had lost while its disk was full counted what it could not store as taken, and served without it' },
  { seed: 111_740_000_003_593, showed: 'a comparison that had begun under the last topology document ended the debt of what a peer had come to hold by the next' },
  { seed: 111_700_000_001_144, showed: 'an lww write that a region without the policy had made to cover a larger one replaced that one, where a table takes conditional writes' },
  { seed: 111_720_000_002_144, showed: 'a region joined between the look at the epoch and the raising of the lines, and was not asked about a reaping' },
  { seed: 111_730_000_002_828, showed: 'a hint for a region that was listed no more came back with a restart; looking for it, hints were found that were left behind for nobody' },
  { seed: 111_700_000_001_378, showed: 'the simulated hand let a region come back, after everything had healed, with the disk that had been full when it was lost' },
  { seed: 111_740_000_001_125, showed: 'the simulated hand set two clocks an hour ahead at once: they agreed' },
  { seed: 111_700_000_001_684, showed: 'the checker held a reaping against a cluster of which only a lost disk had known of it' },
  { seed: 111_700_000_001_596, showed: 'the checker took a retry for known because one region still remembered its operation' },
  { seed: 111_710_000_000_099, showed: 'the checker did not see that a write which was done twice had been read under its other dot' },
  { seed: 111_710_000_001_059, showed: 'the checker took a twin that stays with its brother for a value that had come back' },
  { seed: 111_740_000_000_417, showed: 'the same, beside a brother that had stood before' },
  { seed: 111_710_000_001_200, showed: 'the checker compared what had expired by a line that a wrong clock had led ahead' },
  { seed: 111_700_000_002_859, showed: 'the checker judged by a policy what had been decided before it was known' },
  { seed: 111_730_000_002_209, showed: 'the checker wanted proof of a region that had come to hold the item a moment ago, and was in doubt' },
  { seed: 111_720_000_002_507, showed: 'the checker overlooked what a put in the ledger had replaced' },
  { seed: 111_750_000_002_126, showed: 'the checker missed at a peer what had expired there before a delete' },
  { seed: 111_750_000_002_014, showed: 'the checker took a retry that beat what had replaced it, whose region was lost since, for a bug; its row says so' },
  { seed: 2_423_367_971_642, showed: 'the account forgot what a put had replaced when the put itself went to the ledger as a late value' },
  { seed: 2_423_367_972_511, showed: 'the checker judged a merge by a policy that came while it was being committed' },
  { seed: 111_750_000_004_682, showed: 'a certificate of live values ended the debt of a delete to who had come to hold its partition; the holder that left handed over the older value' },
  { seed: 222_000_016, rare: ['skewed-clocks', 'region-lost'], showed: 'a joining region that had not heard of a collection compared what it knew, and its certificate ended what it was owed of that collection too' },
  { seed: 222_000_135, rare: ['next-format', 'policy-change'], showed: 'a sibling that a client had deleted came back when its collection became lww, and the copies differed' },
];

describe('seeds that showed a defect once', () => {
  it.each(SEEDS)('$seed: $showed', { timeout: 60_000 }, async ({ seed, rare = [] }) => {
    expect((await runSeed(seed, { rare })).violations).toEqual([]);
  });
});
