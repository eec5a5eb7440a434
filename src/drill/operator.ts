// What an operator asks a region over HTTP, wherever the drill runs.

import type { Client } from '../client/client.ts';
import type { Reconciliation } from '../client/types.ts';
import { fromBase64Url, utf8Text } from '../core/bytes.ts';
import { isArchipelError } from '../core/errors.ts';
import type { TopologyVerb } from '../core/placement/topology-change.ts';
import type { LedgerRow, View } from './account.ts';
import type { Kept } from './place.ts';

/** Live RPO towards each peer. */
export async function owedBy(operator: Client): Promise<ReadonlyMap<string, number>> {
  const { peers } = await operator.replication();
  return new Map(peers.map(({ id, unreplicatedItems }) => [id, unreplicatedItems]));
}

export const keptAt = async (operator: Client): Promise<Kept> => keptIn(await operator.replication());

export function keptIn({ actor, peers }: Awaited<ReturnType<Client['replication']>>): Kept {
  const queued = peers.reduce((sum, { unreplicatedItems }) => sum + unreplicatedItems, 0);
  return { actor, queued, oldestMs: Math.max(0, ...peers.map(({ oldestMs }) => oldestMs)), behind: Math.max(0, ...peers.map(({ behind }) => behind)), hints: peers.reduce((sum, { hints }) => sum + hints, 0), deadLetters: peers.reduce((sum, { dead }) => sum + dead, 0), down: peers.flatMap(({ id, verdict }) => (verdict === 'down' ? [id] : [])) };
}

/** Nobody owes anybody anything. One that does not answer may. */
export async function isQuietAt(operators: readonly Client[]): Promise<boolean> {
  const owed = await Promise.all(operators.map((operator) => operator.replication().then(({ peers }) => peers.reduce((sum, peer) => sum + peer.unreplicatedItems, 0), () => 1)));
  return owed.every((items) => items === 0);
}

/** The whole dump and the whole ledger of a collection. */
export async function readView(operator: Client, region: string, collection: string): Promise<View> {
  const lines: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await operator.dump(collection, cursor === undefined ? {} : { cursor });
    lines.push(...page.lines);
    cursor = page.cursor;
    if (cursor === undefined) break;
  }
  const losses: LedgerRow[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await operator.conflicts(collection, { state: 'lost', limit: 1_000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { pk, loser, group } of page.items) losses.push({ ...ledgerRow(pk, loser as Loser), ...(group === undefined ? {} : { group }) });
    cursor = page.cursor;
    if (cursor === undefined) return { region, lines, losses };
  }
}

interface Loser {
  readonly valueBase64?: string;
  readonly context: Readonly<Record<string, string>>;
}

const ledgerRow = (pk: string | undefined, { valueBase64, context }: Loser): LedgerRow => ({
  pk: pk ?? '',
  value: valueBase64 === undefined ? undefined : textOf(valueBase64),
  context,
});

const textOf = (base64: string): string | undefined => utf8Text(fromBase64Url(base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')) ?? new Uint8Array(0));

/** What an operator decides of a region, asked of another one: one that is lost or fenced is heard by nobody, and writes no documents. `wait`: some 50 ms. */
export async function decide(operator: Client, region: string, verb: TopologyVerb, wait: () => Promise<void>): Promise<void> {
  if ((verb === 'lose' || verb === 'fence') && (await operator.topology()).control === region) await operator.promote();
  for (let tries = 0; ; tries++) {
    const state = await operator.changeRegion(region, verb).then(({ regions }) => regions.find(({ id }) => id === region)?.state, (error: unknown) => {
      if (verb !== 'return' || tries === TRIES || !isArchipelError(error, 'topology-change-refused')) throw error;
      return 'joining' as const;
    });
    if (state !== 'joining') return;
    await wait(); // it was lost, and does not hold everything yet
  }
}

/** A peer that is just back is not spoken to before its breaker lets a trial through. */
const TRIES = 600;

/** Every region compares its copy with every peer's; undefined when no two differ, else where. `wait`: some 50 ms. */
export async function comparison(operators: readonly Client[], wait: () => Promise<void>): Promise<string | undefined> {
  for (const operator of operators) {
    let fault: string | undefined = 'not tried';
    for (let tries = 0; fault !== undefined; tries++) {
      const run = await finished(operator, wait);
      const differing = (run.pairs ?? []).find((pair) => pair.differing > 0);
      if (differing !== undefined) return `${operator.url}: ${differing.differing} items differ from ${differing.peer}`;
      fault = run.state === 'failed' ? `${operator.url}: the comparison failed: ${run.error ?? run.code ?? 'it does not say why'}` : undefined;
      if (fault !== undefined && tries === TRIES) return fault;
      if (fault !== undefined) await wait();
    }
  }
  return undefined;
}

async function finished(operator: Client, wait: () => Promise<void>): Promise<Reconciliation> {
  const { id } = await operator.reconcile({});
  for (;;) {
    const run = await operator.reconciliation(id);
    if (run.state !== 'running') return run;
    await wait();
  }
}
