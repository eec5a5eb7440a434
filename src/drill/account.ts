// What became of the writes of a drill's clients, judged from outside: by the dumps and ledgers of some regions and by the
// clients' own log. Each acknowledged write is current somewhere, in a ledger, or in the past of what is: its dot is covered
// by the context of a record or of a ledger row. A write that was sent twice may have been done twice, under two dots, as one
// write: what supersedes the one supersedes it, and what either superseded is its past; no context tells that.

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

/** Acknowledged writes for which nothing in these views accounts. */
export function unaccounted(views: readonly View[], writes: readonly LoggedWrite[]): LoggedWrite[] {
  const values = new Map<string, Set<string>>();
  const contexts = new Map<string, Context[]>();
  const note = (pk: string, found: readonly string[], context: Context): void => {
    const known = values.get(pk) ?? new Set();
    for (const value of found) known.add(value);
    values.set(pk, known);
    contexts.set(pk, [...(contexts.get(pk) ?? []), context]);
  };
  for (const { lines, losses } of views) {
    for (const line of lines) {
      const { pk, current, context } = parseLine(line);
      note(pk, current, context);
    }
    for (const { pk, value, context } of losses) note(pk, value === undefined ? [] : [value], new Map(Object.entries(context)));
  }
  // Of a write whose outcome is unknown nobody told how often it was sent.
  const retried = Map.groupBy(writes.filter(({ attempts, outcome }) => outcome === 'unknown' || (attempts > 1 && outcome !== 'refused')), ({ pk }) => pk);
  const byKey = Map.groupBy(writes, ({ pk }) => pk);
  return writes.filter((write) => {
    if (write.outcome !== 'acknowledged' || values.get(write.pk)?.has(write.value) === true) return false;
    const { dot } = write;
    if (dot !== undefined && (contexts.get(write.pk) ?? []).some((context) => covers(context, dot))) return false;
    if (write.attempts > 1 && (byKey.get(write.pk) ?? []).some((other) => other.startedMs > write.endedMs && other.outcome !== 'refused')) return false;
    return !(retried.get(write.pk) ?? []).some((other) => other !== write && other.endedMs > write.startedMs && other.startedMs < write.endedMs + SPREAD_MS);
  });
}

/** A record without live values is `{}`, or `{<dot> deleted}`. */
export const isLive = (line: string): boolean => !/^\S+ \S+ "(?:[^"\\]|\\.)*" \{(?:\S+ deleted)?\} ctx /.test(line);

/** The first place where two copies are not the same; undefined: they are. `live values`: without tombstones and operations. */
export function firstDifference(all: readonly View[], what: 'records' | 'live values'): string | undefined {
  const views = what === 'records' ? all : all.map(({ region, lines }) => ({ region, lines: lines.filter(isLive).map((line) => line.replace(/ ops \[[^\]]*\](?: evicted \S+)?$/, '')) }));
  const [first, ...others] = views;
  if (first === undefined) return undefined;
  for (const { region, lines } of others) {
    const at = Array.from({ length: Math.max(first.lines.length, lines.length) }, (_, i) => i).find((i) => first.lines[i] !== lines[i]);
    if (at !== undefined) return `${first.region}: ${first.lines[at] ?? 'nothing'}\n${region}: ${lines[at] ?? 'nothing'}`;
  }
  return undefined;
}

export const covers = (context: Context, dot: string): boolean => {
  const [actor = '', stamp = ''] = dot.split('@');
  return (context.get(actor) ?? '') >= stamp; // sixteen hex digits: they compare as text
};

/** `<hex> <collection> "<pk>" {…} ctx {…} ops […]` */
export function parseLine(line: string): { readonly pk: string; readonly current: readonly string[]; readonly context: Context } {
  const [, pk = '', values = '', context = ''] = /^\S+ \S+ "((?:[^"\\]|\\.)*)" \{(.*)\} ctx \{(.*?)\}/.exec(line) ?? [];
  return {
    pk,
    current: [...values.matchAll(/@\S+ "((?:[^"\\]|\\.)*)"/g)].map(([, value]) => value as string),
    context: new Map(context === '' ? [] : context.split(', ').map((entry) => entry.split('@') as [string, string])),
  };
}
