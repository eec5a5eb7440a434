// Reconciliations that somebody asks for by HTTP: `api` notes the run in the table, calls `reconcile` and does not wait for
// it; `reconcile` notes what became of it; whoever asks is told what is noted. One document holds the newest of them.

import { invokeLater } from '../../src/adapters/aws/lambda-peer.ts';
import { names } from '../../src/adapters/aws/names.ts';
import type { SignedCalls } from '../../src/adapters/aws/signed-calls.ts';
import { toHex, utf8, utf8Text } from '../../src/core/bytes.ts';
import { ArchipelError } from '../../src/core/errors.ts';
import type { RunRequest } from '../../src/engine/reconciler.ts';
import type { RunBody, Runs } from '../../src/http/runs.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Random } from '../../src/ports/random.ts';
import type { Table } from '../../src/ports/table.ts';
import type { ReconcileEvent } from '../reconcile.ts';
import type { Settings } from './settings.ts';

const DOCUMENT = 'reconciliations';
export const RUNS_KEPT = 20;
/** The function is ended after 15 minutes, and cannot say so. */
const RUN_MS_MAX = 16 * 60_000;

interface Noted {
  readonly startedMs: number;
  readonly body: RunBody;
}

/** In the place of what was noted under the same id. Durable when it resolves. */
export async function noteRun(table: Table, body: RunBody, startedMs: number): Promise<void> {
  for (;;) {
    const { runs, revision } = await notedRuns(table);
    const others = runs.filter((run) => run.body.id !== body.id);
    const all = [{ startedMs, body }, ...others].slice(0, RUNS_KEPT);
    if (await table.putDocument(DOCUMENT, utf8(JSON.stringify(all)), revision)) return;
  }
}

async function notedRuns(table: Table): Promise<{ readonly runs: readonly Noted[]; readonly revision: number | undefined }> {
  const stored = await table.document(DOCUMENT);
  return { runs: stored === undefined ? [] : (JSON.parse(utf8Text(stored.bytes) ?? '[]') as Noted[]), revision: stored?.revision };
}

export interface RunsParts {
  readonly table: Table;
  readonly clock: Clock;
  readonly random: Random;
  /** Of the region itself. */
  readonly lambda: SignedCalls;
  readonly settings: Pick<Settings, 'deployment' | 'region'>;
}

export function lambdaRuns({ table, clock, random, lambda, settings: { deployment, region } }: RunsParts): Runs {
  const begin = async ({ peers, groups }: RunRequest): Promise<RunBody> => {
    const body: RunBody = { id: toHex(random.bytes(6)), state: 'running', pairs: [] };
    await noteRun(table, body, clock.wallMs());
    // Every comparison is one by scans here, whether a deep one was asked for or not.
    const event: ReconcileEvent = { what: 'deep', run: body.id, ...(peers === undefined ? {} : { peers }), ...(groups === undefined ? {} : { groups }) };
    try {
      await invokeLater(lambda, names.function(deployment, 'reconcile', region), event);
    } catch (error) {
      await noteRun(table, { ...body, state: 'failed', error: 'It could not be begun.', code: 'overloaded' }, clock.wallMs());
      throw new ArchipelError('overloaded', 'The reconciliation could not be begun; ask again.', {}, error);
    }
    return body;
  };
  const find = async (id: string): Promise<RunBody | undefined> => {
    const found = (await notedRuns(table)).runs.find(({ body }) => body.id === id);
    if (found === undefined) return undefined;
    const isOver = found.body.state === 'running' && clock.wallMs() - found.startedMs > RUN_MS_MAX;
    return isOver ? { ...found.body, state: 'failed', error: 'It was ended before it was done.', code: 'internal' } : found.body;
  };
  return { begin, find };
}
