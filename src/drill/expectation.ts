// What a drill expects, in words that are one line of its file: `rto < 5s`, `lost = 0`, `rpo <= live rpo at the loss`.

import { ArchipelError } from '../core/errors.ts';
import { isWithin, type JudgedLoss } from './loss.ts';

/** What a run measured. Times in milliseconds, shares from 0 to 1; undefined: could not be measured, which fails what asks for it. */
export interface Measured {
  /** From the last good second before the first fault to the first of five good ones in a row. */
  readonly rtoMs: number | undefined;
  /** From the first fault to the first answer that another region gave in its place; undefined: clients were with others already. */
  readonly detectionMs: number | undefined;
  /** From when a region was taken away until another one said that it is down, of the first for which one did: looked at each second; undefined: none said so. */
  readonly verdictMs: number | undefined;
  /** Each region each time that it was taken away, in the order in which that was judged. */
  readonly losses: readonly JudgedLoss[];
  /** Of all losses: items that the lost regions said they owed, asked just before; and those that they acknowledged since. */
  readonly rpoLive: number | undefined;
  /** Of all losses: items of which no survivor had an acknowledged write meanwhile. */
  readonly rpoReal: number | undefined;
  readonly acknowledged: number;
  /** Acknowledged writes without an account at the end. */
  readonly lost: number;
  readonly errorRate: number;
  /** Of what was sent since a region was first brought back; undefined: none was. */
  readonly errorsAfterReturn: number | undefined;
  /** From the end of the load until nothing was owed and all copies were equal. */
  readonly convergedMs: number | undefined;
  /** From the last step that brought something back until all copies were equal: not before the load has ended. */
  readonly equalAfterHealingMs: number | undefined;
  readonly copiesEqual: boolean;
  readonly conflicts: number;
  /** After the first fault, until the last read that showed less than had been acknowledged before it began. */
  readonly staleReadMs: number;
  /** How many such reads there were. */
  readonly staleReads: number;
  /** And after something was first brought back: what only the lost region knew is stale elsewhere until then, and no longer. */
  readonly staleAfterReturn: number;
  /** The most by which the stamp of an acknowledged write was ahead of the time at which its answer came; undefined: none was shown. */
  readonly stampsAheadMs: number | undefined;
  /** How often a region became somebody else: its disk was lost, or it was rebuilt. */
  readonly rebuilt: number;
  /** Losers in the ledger that a region had not passed on when it was declared lost. */
  readonly stranded: number;
  /** The most that a region said a peer lacks of what it no longer remembers. */
  readonly behind: number;
  /** Answers that a drained region gave, from two seconds after that until it was returned or stopped. */
  readonly askedWhileDrained: number;
  /** Answers that a fenced region gave, from two seconds after that, or after it was brought back, until it was returned. */
  readonly answeredWhileFenced: number;
  /** From that of the first fault on: seconds that were not good. */
  readonly badSeconds: number | undefined;
  /** Of all answers since a region was first brought back: those that it gave. */
  readonly shareAfterReturn: number | undefined;
}

export interface Verdict {
  readonly expectation: string;
  readonly holds: boolean;
  /** What was measured, in the same unit. */
  readonly found: string;
}

export interface Expectation {
  readonly text: string;
  readonly judge: (measured: Measured) => Omit<Verdict, 'expectation'>;
}

const TIME = /^(rto|detection|verdict|equal after healing|stale reads|stamps ahead) < ([0-9]+(?:\.[0-9]+)?)(ms|s)$/;
const CONVERGED = /^converged within ([0-9]+)(ms|s)$/;
const SHARE = /^(errors|errors after return|share after return) < ([0-9]+(?:\.[0-9]+)?) ?%$/;
const COUNT = /^(lost|rpo|conflicts|stranded|rebuilt|behind|asked while drained|answered while fenced|bad seconds|stale reads|stale reads after return) (=|<=|>=) ([0-9]+)$/;

/** @throws ArchipelError `bad-request` */
export function parseExpectation(text: string): Expectation {
  const plain = text.trim().replaceAll(/\s+/g, ' ').replace(/^no stale read after (?=[0-9])/, 'stale reads < ');
  const judge = timeJudge(plain) ?? shareJudge(plain) ?? countJudge(plain) ?? wordJudge(plain);
  if (judge === undefined) throw new ArchipelError('bad-request', `Not an expectation: ${JSON.stringify(text)}. There are: rto < 5s, detection < 1s, verdict < 5s, equal after healing < 30s, stale reads < 10s (no stale read after 10s), converged within 30s, errors < 1 %, errors after return < 1 %, stale reads <= 20, stale reads after return <= 5, lost = 0, rpo = 0, rpo <= live rpo at the loss, conflicts >= 1, stranded >= 1, rebuilt >= 1, stamps ahead < 2s, behind >= 1, asked while drained = 0, answered while fenced = 0, bad seconds <= 2, share after return < 50 %, copies equal`);
  return { text: plain, judge };
}

type Judge = Expectation['judge'];

const inMs = (amount: string | undefined, unit: string | undefined): number => Number(amount) * (unit === 's' ? 1_000 : 1);
const shown = (ms: number | undefined): string => (ms === undefined ? 'not measured' : ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms)} ms`);

function timeJudge(text: string): Judge | undefined {
  const time = TIME.exec(text);
  const converged = CONVERGED.exec(text);
  const limit = time === null ? converged === null ? undefined : inMs(converged[1], converged[2]) : inMs(time[2], time[3]);
  if (limit === undefined) return undefined;
  const of = ({ rtoMs, detectionMs, verdictMs, equalAfterHealingMs, staleReadMs, stampsAheadMs, convergedMs }: Measured): number | undefined => (time === null ? convergedMs : { rto: rtoMs, detection: detectionMs, verdict: verdictMs, 'equal after healing': equalAfterHealingMs, 'stale reads': staleReadMs, 'stamps ahead': stampsAheadMs }[time[1] as 'rto']);
  return (measured) => {
    const found = of(measured);
    return { holds: found !== undefined && found < limit, found: shown(found) };
  };
}

function shareJudge(text: string): Judge | undefined {
  const match = SHARE.exec(text);
  if (match === null) return undefined;
  return ({ errorRate, errorsAfterReturn, shareAfterReturn }) => {
    const found = { errors: errorRate, 'errors after return': errorsAfterReturn, 'share after return': shareAfterReturn }[match[1] as 'errors'];
    return { holds: found !== undefined && found * 100 < Number(match[2]), found: found === undefined ? 'not measured' : `${(found * 100).toFixed(2)} %` };
  };
}

function countJudge(text: string): Judge | undefined {
  const match = COUNT.exec(text);
  if (match === null) return undefined;
  const [, what, relation, amount] = match;
  return ({ lost, rpoReal, conflicts, stranded, rebuilt, behind, askedWhileDrained, answeredWhileFenced, badSeconds, staleReads, staleAfterReturn }) => {
    const found = { lost, rpo: rpoReal, conflicts, stranded, rebuilt, behind, 'asked while drained': askedWhileDrained, 'answered while fenced': answeredWhileFenced, 'bad seconds': badSeconds, 'stale reads': staleReads, 'stale reads after return': staleAfterReturn }[what as 'lost'];
    const limit = Number(amount);
    const holds = found !== undefined && (relation === '=' ? found === limit : relation === '<=' ? found <= limit : found >= limit);
    return { holds, found: found === undefined ? 'not measured' : String(found) };
  };
}

function wordJudge(text: string): Judge | undefined {
  if (text === 'copies equal') return ({ copiesEqual }) => ({ holds: copiesEqual, found: copiesEqual ? 'equal' : 'they differ' });
  if (text !== 'rpo <= live rpo at the loss') return undefined;
  return ({ losses }) => ({ holds: losses.length > 0 && losses.every(isWithin), found: losses.length === 0 ? 'nothing was lost' : losses.map((loss) => lossText(loss, losses.length > 1)).join(', ') });
}

function lossText({ region, live, real }: JudgedLoss, isNamed: boolean): string {
  const figures = live === undefined || real === undefined ? 'not measured' : `${real} of ${live}`;
  return isNamed ? `${region} ${figures}` : figures;
}
