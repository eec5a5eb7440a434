// `reconcile`: proves that regions hold the same, or makes it so.

import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import type { PairReport, Reconciliation } from '../../client/types.ts';
import { isArchipelError } from '../../core/errors.ts';
import { EXIT, EXIT_CODES_HELP, Interrupted } from '../exit.ts';
import { showName, type NamedKey } from '../keys.ts';
import { bytes, count, plural, table, type Progress } from '../output.ts';
import { withConnection, withSession, type ConnectionFlags, type Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface ReconcileFlags extends ConnectionFlags {
  readonly peer: readonly string[];
  readonly collection?: string;
  readonly deep?: boolean;
  readonly wait: boolean;
}

export function addReconcile(program: Command, terminal: Terminal): void {
  const command = program
    .command('reconcile')
    .description('prove that the copies agree, or make them: every pair of regions')
    .option('--peer <id>', 'only with this peer of --region (default: of the nearest); may be repeated', (value: string, before: readonly string[]) => [...before, value], [])
    .option('--collection <name>', 'only what is placed as this collection is; no certificate')
    .option('--deep', 'read and hash every stored value, instead of trusting the digests')
    .option('--no-wait', 'begin it, and print the ids of the runs');
  withConnection(command)
    .addHelpText('after', `
Waits for the end, however long that takes (--timeout is of each request). Without --region every pair of regions is compared once,
but for regions that are declared lost.
The exit code is 2 when the copies do not agree at the end: somebody writes faster than is repaired, or a region refuses.

Examples:
  archipel reconcile
  archipel reconcile --deep --region eu-central-1
  archipel reconcile --region eu-central-1 --peer us-east-1 --collection carts --json
${EXIT_CODES_HELP}`)
    .action((flags: ReconcileFlags) =>
      withSession(terminal, flags, async (session) => {
        const plan = await planOf(session, flags);
        const { collection, deep } = flags;
        const scope = { ...(collection === undefined ? {} : { collection }), ...(deep === true ? { deep } : {}) };
        if (!flags.wait) return begin(session, plan, scope);
        const results = await reconcileAll(session, plan, scope);
        await (session.isJson ? session.json({ agreed: results.every(isAgreed), runs: results }) : showResults(session, results));
        return results.some(({ run }) => run.state === 'failed') ? EXIT.failed : results.every(isAgreed) ? EXIT.done : EXIT.no;
      }),
    );
}

export interface Plan {
  readonly region: string;
  readonly peers?: readonly string[];
}

export interface Result {
  readonly region: string;
  readonly run: Reconciliation;
}

interface Scope {
  readonly collection?: string;
  readonly deep?: boolean;
}

async function planOf(session: Session, { region, peer }: ReconcileFlags): Promise<readonly Plan[]> {
  const peers = peer.length === 0 ? {} : { peers: peer };
  if (region !== undefined) return [{ region, ...peers }];
  if (peer.length > 0) return [{ region: (await session.front.replication()).region, ...peers }];
  const { regions } = await session.topology();
  const lost = regions.filter(({ state }) => state === 'lost').map(({ id }) => id);
  for (const id of lost) session.note(`${id} is declared lost: it is compared with nobody`);
  return everyPair((await session.regionIds()).filter((id) => !lost.includes(id)));
}

/** Each region with those after it. */
export const everyPair = (regions: readonly string[]): readonly Plan[] => regions.slice(0, -1).map((region, at) => ({ region, peers: regions.slice(at + 1) }));

async function begin(session: Session, plan: readonly Plan[], scope: Scope): Promise<void> {
  const begun = await Promise.all(plan.map(async ({ region, peers }) => ({ region, ...(await (await session.at(region)).reconcile({ ...scope, ...(peers === undefined ? {} : { peers: [...peers] }) })) })));
  if (session.isJson) return session.json({ runs: begun });
  for (const { region, id } of begun) await session.line(`${region} ${id}`);
}

/** One region after the other: runs of one pair do not overlap anyhow. */
export function reconcileAll(session: Session, plan: readonly Plan[], scope: Scope, signal?: AbortSignal): Promise<readonly Result[]> {
  const progress = session.progress();
  return reconcileEach(session, plan, scope, progress, signal).finally(() => progress.clear());
}

async function reconcileEach(session: Session, plan: readonly Plan[], scope: Scope, progress: Progress, signal: AbortSignal | undefined): Promise<readonly Result[]> {
  const results: Result[] = [];
  const pairs = plan.reduce((sum, { peers }) => sum + (peers?.length ?? 1), 0);
  let done = 0;
  for (const { region, peers } of plan) {
    const client = await session.at(region);
    const request = { ...scope, ...(peers === undefined ? {} : { peers: [...peers] }) };
    const show = (run: Reconciliation): void => progress.show(lineOf(region, run), (done + Math.max(0, (run.pairs?.length ?? 0) - 1)) / pairs);
    results.push({ region, run: await finished(client, request, show, signal).catch(notBegun) });
    done += peers?.length ?? 1;
  }
  return results;
}

/** A region that does not answer does not keep the other pairs from being compared. */
function notBegun(error: unknown): Reconciliation {
  if (isArchipelError(error, 'no-region-available') || isArchipelError(error, 'write-outcome-unknown')) return { id: '', state: 'failed', error: error.message, code: error.code, pairs: [] };
  throw error;
}

function lineOf(region: string, { pairs = [] }: Reconciliation): string {
  const pair = pairs.at(-1);
  if (pair === undefined) return `${region} begins`;
  const moved = pair.pushed + pair.pulled;
  return `${region} ↔ ${pair.peer}: ${plural(pair.differing, 'difference')}, ${count(moved)} moved`;
}

const POLL_FIRST_MS = 20;
const POLL_MAX_MS = 400;
/** A scheduled run may be under way with the same peer; it takes its time once. */
const BEHIND_ANOTHER_MAX = 50;

async function finished(client: Client, request: Parameters<Client['reconcile']>[0], show: (run: Reconciliation) => void, signal?: AbortSignal): Promise<Reconciliation> {
  let waitMs = POLL_FIRST_MS;
  for (let behind = 0; ; behind++) {
    const { id } = await client.reconcile(request);
    for (;;) {
      if (signal?.aborted === true) throw new Interrupted();
      const run = await client.reconciliation(id);
      show(run);
      const isBehindAnother = run.state === 'failed' && run.code === 'lease-held';
      if (run.state !== 'running' && !(isBehindAnother && behind < BEHIND_ANOTHER_MAX)) return run;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      waitMs = Math.min(POLL_MAX_MS, waitMs * 1.5);
      if (isBehindAnother) break;
    }
  }
}

/** Proved, or (of one collection only) found equal. */
const isEqual = ({ equal, certificate }: PairReport): boolean => equal || certificate !== undefined;
export const isAgreed = ({ run }: Result): boolean => run.state === 'done' && (run.pairs ?? []).every(isEqual);

const RIGHT = { right: true } as const;

async function showResults(session: Session, results: readonly Result[]): Promise<void> {
  const { style } = session;
  const rows = results.flatMap(({ region, run }) =>
    (run.pairs ?? []).map((pair) => {
      const verdict = isEqual(pair) ? style.good(pair.differing > 0 ? 'repaired' : 'equal') : style.bad('not equal');
      return [`${region} ↔ ${pair.peer}`, verdict, count(pair.compared), count(pair.differing), count(pair.pushed), count(pair.pulled), count(pair.requests), bytes(pair.bytes), style.dim(pair.certificate?.digest ?? 'no certificate')];
    }),
  );
  const columns = [{ title: 'pair' }, { title: 'verdict' }, { title: 'partitions', ...RIGHT }, { title: 'differing', ...RIGHT }, { title: 'pushed', ...RIGHT }, { title: 'pulled', ...RIGHT }, { title: 'requests', ...RIGHT }, { title: 'bytes', ...RIGHT }, { title: 'certificate' }];
  if (rows.length > 0) await session.terminal.out.write(table(columns, rows, style));
  for (const { region, run } of results) for (const pair of run.pairs ?? []) await showKeys(session, region, pair);
  for (const { region, run } of results) if (run.error !== undefined) session.note(`${region}: ${run.error}`);
}

const NAMED_MAX = 10;

async function showKeys(session: Session, region: string, { peer, differing, differingKeys, corrupt, wrongDigests }: PairReport): Promise<void> {
  const pair = `${region} ↔ ${peer}`;
  const nameOf = (key: unknown): string => `${(key as { collection?: string }).collection ?? ''} ${showName(key as NamedKey)}`;
  for (const key of corrupt) await session.line(`  ${session.style.bad('damaged')} in ${region}: ${nameOf(key)}`);
  if (wrongDigests > 0) await session.line(`  ${session.style.bad('wrong digests')} in ${region}: ${plural(wrongDigests, 'partition')}`);
  for (const key of differingKeys.slice(0, NAMED_MAX)) await session.line(`  ${session.style.dim(pair)} differed: ${nameOf(key)}`);
  if (differing > NAMED_MAX) await session.line(session.style.dim(`  ${pair} … and ${count(differing - NAMED_MAX)} more`));
}
