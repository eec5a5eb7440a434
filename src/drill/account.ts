// What became of the writes of some clients, judged from outside: by the dumps and ledgers of some regions and by the clients'
// own log. Each acknowledged write is current somewhere, in a ledger, or in the past of what is: its dot is covered by the context
// of a record or of a ledger row. A write that was sent twice may have been done twice, under two dots, as one write: what
// supersedes the one supersedes it, and what either superseded is its past. The records remember the newest operations and their
// dots; of what they have forgotten, only the clients' log tells.
//
// Drills judge by it, and the checks of scripts/. The simulation's checker (src/testing/account.ts) believes no context where it
// can do without, and sees every commit; it judges what this cannot: reaping, expiry, and what a lost disk alone held.

export interface LoggedWrite {
  readonly pk: string;
  /** Unique text. */
  readonly value: string;
  outcome: 'acknowledged' | 'refused' | 'unknown';
  /** From the ETag of the answer. */
  dot?: string;
  servedBy?: string;
  /** By the client or the edge. More than one: it may have been done in two regions. */
  attempts: number;
  /** Since the load began. */
  readonly startedMs: number;
  endedMs: number;
}

export interface LedgerRow {
  readonly pk: string;
  readonly value: string | undefined;
  readonly context: Readonly<Record<string, string>>;
  /** Of a stranded write. */
  readonly group?: string;
}

/** What one region says of a collection. */
export interface View {
  readonly region: string;
  /** One-line forms, in physical order. */
  readonly lines: readonly string[];
  readonly losses: readonly LedgerRow[];
}

export type Context = ReadonlyMap<string, string>;

/** By then a write is everywhere, so that whatever is done later covers it: without a bound any late retry would excuse any write. */
const SPREAD_MS = 15_000;

/** What some regions say of one item. */
interface Known {
  readonly values: Set<string>;
  readonly contexts: Context[];
  /** Dots by operation. */
  readonly executions: Map<string, Set<string>>;
}

const NOTHING: Known = { values: new Set(), contexts: [], executions: new Map() };

function knownOf(views: readonly View[]): ReadonlyMap<string, Known> {
  const items = new Map<string, Known>();
  const of = (pk: string): Known => {
    const known = items.get(pk) ?? { values: new Set(), contexts: [], executions: new Map() };
    items.set(pk, known);
    return known;
  };
  for (const { lines, losses } of views) {
    for (const line of lines) {
      const { pk, current, context, operations } = parseLine(line);
      const { values, contexts, executions } = of(pk);
      for (const value of current) values.add(value);
      contexts.push(context);
      for (const [id, dot] of operations) executions.set(id, (executions.get(id) ?? new Set()).add(dot));
    }
    for (const { pk, value, context } of losses) {
      if (value !== undefined) of(pk).values.add(value);
      of(pk).contexts.push(new Map(Object.entries(context)));
    }
  }
  return items;
}

/** `throughRetries`: how many are accounted for only because one of the two was, or may have been, done twice. */
export interface Judged<W> {
  readonly missing: readonly W[];
  readonly throughRetries: number;
}

/** Writes of one `lww` collection: of those `asked`, which were acknowledged, and nothing in these views accounts for them. */
export function judge<W extends LoggedWrite>(views: readonly View[], writes: readonly W[], asked: readonly W[] = writes): Judged<W> {
  const items = knownOf(views);
  // Of a write whose outcome is unknown nobody told how often it was sent.
  const retried = Map.groupBy(writes.filter(({ attempts, outcome }) => outcome === 'unknown' || (attempts > 1 && outcome !== 'refused')), ({ pk }) => pk);
  const byKey = Map.groupBy(writes, ({ pk }) => pk);
  const stands = ({ pk, value, dot }: W): boolean => {
    const { values, contexts, executions } = items.get(pk) ?? NOTHING;
    if (values.has(value)) return true;
    if (dot === undefined) return false;
    const dots = [...executions.values()].find((each) => each.has(dot)) ?? [dot];
    return [...dots].some((each) => contexts.some((context) => covers(context, each)));
  };
  const mayBePast = (write: W): boolean => {
    if (write.attempts > 1 && (byKey.get(write.pk) ?? []).some((other) => other.startedMs > write.endedMs && other.outcome !== 'refused')) return true;
    return (retried.get(write.pk) ?? []).some((other) => other !== write && other.endedMs > write.startedMs && other.startedMs < write.endedMs + SPREAD_MS);
  };
  const open = asked.filter((write) => write.outcome === 'acknowledged' && !stands(write));
  const missing = open.filter((write) => !mayBePast(write));
  return { missing, throughRetries: open.length - missing.length };
}

/** Acknowledged writes for which nothing in these views accounts. */
export const unaccounted = (views: readonly View[], writes: readonly LoggedWrite[]): readonly LoggedWrite[] => judge(views, writes).missing;

/** A record without live values is `{}`, or `{<dot> deleted}`. */
export const isLive = (line: string): boolean => !/^\S+ \S+ "(?:[^"\\]|\\.)*" \{(?:\S+ deleted)?\} ctx /.test(line);

/** `live values`: without tombstones and operations. */
export type Compared = 'records' | 'live values';

const comparedLines = (views: readonly View[], what: Compared): readonly Pick<View, 'region' | 'lines'>[] =>
  what === 'records' ? views : views.map(({ region, lines }) => ({ region, lines: lines.filter(isLive).map((line) => line.replace(/ ops \[[^\]]*\](?: evicted \S+)?$/, '')) }));

/** The first place where two copies are not the same; undefined: they are. */
export function firstDifference(all: readonly View[], what: Compared): string | undefined {
  const [first, ...others] = comparedLines(all, what);
  if (first === undefined) return undefined;
  for (const { region, lines } of others) {
    const at = Array.from({ length: Math.max(first.lines.length, lines.length) }, (_, i) => i).find((i) => first.lines[i] !== lines[i]);
    if (at !== undefined) return `${first.region}: ${first.lines[at] ?? 'nothing'}\n${region}: ${lines[at] ?? 'nothing'}`;
  }
  return undefined;
}

/** How many keys are not the same in all copies. */
export function differences(all: readonly View[], what: Compared): number {
  const seen = new Map<string, number>();
  const views = comparedLines(all, what);
  for (const { lines } of views) for (const line of lines) seen.set(line, (seen.get(line) ?? 0) + 1);
  return new Set([...seen].filter(([, copies]) => copies < views.length).map(([line]) => parseLine(line).pk)).size;
}

export const covers = (context: Context, dot: string): boolean => {
  const [actor = '', stamp = ''] = dot.split('@');
  return (context.get(actor) ?? '') >= stamp; // sixteen hex digits: they compare as text
};

/** `<hex> <collection> "<pk>" {…} ctx {…} ops […]` */
export function parseLine(line: string): { readonly pk: string; readonly current: readonly string[]; readonly context: Context; readonly operations: readonly (readonly [id: string, dot: string])[] } {
  const [, pk = '', values = '', context = '', operations = ''] = /^\S+ \S+ "((?:[^"\\]|\\.)*)" \{(.*)\} ctx \{(.*?)\}(?: ops \[(.*?)\])?/.exec(line) ?? [];
  return {
    pk,
    current: [...values.matchAll(/@\S+ "((?:[^"\\]|\\.)*)"/g)].map(([, value]) => value as string),
    context: new Map(context === '' ? [] : context.split(', ').map((entry) => entry.split('@') as [string, string])),
    operations: operations === '' ? [] : operations.split(', ').map((entry) => entry.split('>') as [string, string]),
  };
}
