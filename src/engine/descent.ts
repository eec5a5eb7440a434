// From partitions whose sums may differ down to the items that do: branches, leaves, stretches of a leaf. Only where sums
// differ the next question is asked.

import { differingPositions, sameSum, type Fingerprint, type Sum } from '../core/merkle/digest.ts';
import { decodeStretchAnswers, decodeSums, type BranchRef, type DifferingItem, type DigestQuestion, type LeafRef, type Stretch, type StretchAnswer, type StretchQuestion } from './digest-protocol.ts';
import { itemsWithin, leafIndex, stretchQuestion, sumOf, type View } from './digest-view.ts';

const REFS_PER_QUESTION = 256;
const STRETCHES_PER_QUESTION = 256;
/** Of an item of which the other side does not say whether it has a record: old enough, and asked for. */
const PERHAPS_DELETED_MS = 1;
/** The other side may scan what it is asked about. */
const SCAN_TIMEOUT_MS = 25_000;

export interface DescentParts {
  /** This side's. */
  readonly view: View;
  readonly deep: boolean;
  readonly atMs: number;
  /** As this side's view does. */
  readonly mayLag?: boolean;
  /** Items of a leaf can be asked about by their sums (an earlier release wants their keys). */
  readonly takesSums: boolean;
  ask(question: DigestQuestion, timeoutMs?: number): Promise<Uint8Array>;
}

export class Descent {
  readonly #parts: DescentParts;
  readonly #how: { readonly deep: boolean; readonly atMs: number; readonly mayLag?: boolean };

  constructor(parts: DescentParts) {
    this.#parts = parts;
    this.#how = { deep: parts.deep, atMs: parts.atMs, ...(parts.mayLag === true ? { mayLag: true } : {}) };
  }

  #ask(question: DigestQuestion): Promise<Uint8Array> {
    return this.#parts.ask(question, this.#how.deep ? SCAN_TIMEOUT_MS : undefined);
  }

  /** Where the sums of these partitions differ. */
  async leaves(partitions: readonly BranchRef[]): Promise<LeafRef[]> {
    const { view } = this.#parts;
    const branches: LeafRef[] = [];
    for (const chunk of chunks(partitions, REFS_PER_QUESTION)) {
      const theirs = decodeSums(await this.#ask({ type: 'branches', ...this.#how, partitions: chunk }));
      const mine = (await Promise.all(chunk.map((ref) => view.branches(ref)))).flat();
      const width = mine.length / chunk.length;
      for (const at of differingPositions(mine, theirs)) branches.push({ ...(chunk[Math.floor(at / width)] as BranchRef), index: at % width });
    }
    const leaves: LeafRef[] = [];
    for (const chunk of chunks(branches, REFS_PER_QUESTION)) {
      const theirs = decodeSums(await this.#ask({ type: 'leaves', ...this.#how, branches: chunk }));
      const mine = (await Promise.all(chunk.map((ref) => view.leaves(ref)))).flat();
      const width = mine.length / chunk.length;
      for (const at of differingPositions(mine, theirs)) {
        const branch = chunk[Math.floor(at / width)] as LeafRef;
        leaves.push({ ...branch, index: leafIndex(branch.index, at % width) });
      }
    }
    return leaves;
  }

  /** What differs in these leaves. */
  async items(leaves: readonly LeafRef[]): Promise<{ differing: DifferingItem[]; more: boolean; rounds: number }> {
    const { view } = this.#parts;
    const differing: DifferingItem[] = [];
    let more = false;
    let rounds = 0;
    let stretches: Stretch[] = leaves.map((leaf) => ({ leaf, from: undefined, to: undefined }));
    while (stretches.length > 0) {
      rounds++;
      const next: Stretch[] = [];
      for (const chunk of chunks(stretches, STRETCHES_PER_QUESTION)) {
        const held = await Promise.all(chunk.map((stretch) => itemsWithin(view, stretch)));
        const questions = chunk.map((stretch, at) => stretchQuestion(stretch, held[at] as readonly Fingerprint[], this.#parts));
        const answers = decodeStretchAnswers(await this.#ask({ type: 'stretches', ...this.#how, stretches: questions }));
        for (const [at, question] of questions.entries()) {
          const answer = answers[at];
          if (answer?.type === 'items' || answer?.type === 'besides') {
            differing.push(...answer.items);
            more ||= answer.more;
          }
          if (answer?.type === 'besides') differing.push(...lackingThere(held[at] as readonly Fingerprint[], answer));
          if (answer?.type === 'list') differing.push(...(await this.#differingFromList(question, answer.items)));
          if (answer?.type === 'split') next.push(...(await this.#differingParts(question, answer.parts)));
        }
      }
      stretches = next;
    }
    return { differing, more, rounds };
  }

  async #differingFromList(question: StretchQuestion, theirs: readonly DifferingItem[]): Promise<DifferingItem[]> {
    const held = new Map(theirs.map((item) => [keyName(item.key), item]));
    const mine = await itemsWithin(this.#parts.view, question);
    const mineByName = new Map(mine.map(({ key, sum }) => [keyName(key), sum]));
    const changed = theirs.filter(({ key, theirs: sum }) => {
      const own = mineByName.get(keyName(key));
      return own === undefined || sum === undefined || !sameSum(own, sum);
    });
    const lacking = mine.filter(({ key }) => !held.has(keyName(key))).map(({ key }): DifferingItem => ({ key, theirs: undefined, newestMs: 0 }));
    return [...changed, ...lacking];
  }

  async #differingParts(question: StretchQuestion, parts: readonly { readonly to: Uint8Array | undefined; readonly sum: Sum }[]): Promise<Stretch[]> {
    const differing: Stretch[] = [];
    let from = question.from;
    for (const { to, sum } of parts) {
      const stretch: Stretch = { leaf: question.leaf, from, to };
      if (!sameSum(sumOf(await itemsWithin(this.#parts.view, stretch)), sum)) differing.push(stretch);
      from = to;
    }
    return differing;
  }
}

/** Of what I hold and they do not, what they have not named themselves: they may know it as deleted. */
function lackingThere(mine: readonly Fingerprint[], { items, lacking }: Extract<StretchAnswer, { readonly type: 'besides' }>): DifferingItem[] {
  const named = new Set(items.map(({ key }) => keyName(key)));
  return lacking.flatMap((at): DifferingItem[] => {
    const key = mine[at]?.key;
    return key === undefined || named.has(keyName(key)) ? [] : [{ key, theirs: undefined, newestMs: PERHAPS_DELETED_MS }];
  });
}

export const keyName = (key: Uint8Array): string => String.fromCharCode(...key);

export function* chunks<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
