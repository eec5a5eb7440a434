// Runs of reconciliation, as the routes see them: begun, and looked up by their id. On a machine the region carries them out
// itself; where nothing goes on behind an answer (Lambda), another process does, and the table remembers.

import { decodeKey, isSystemCollection } from '../core/keys/item-key.ts';
import type { Certificate, PairReport } from '../engine/reconcile.ts';
import type { Reconciler, Run, RunRequest } from '../engine/reconciler.ts';
import { isoOf, keyObject } from './representation.ts';

export interface RunBody {
  readonly id: string;
  readonly state: Run['state'];
  readonly [field: string]: unknown;
}

export interface Runs {
  begin(request: RunRequest): Promise<RunBody>;
  find(id: string): Promise<RunBody | undefined>;
}

export const ownRuns = (reconciler: Reconciler): Runs => ({
  begin: async (request) => runBody(reconciler.run(request)),
  find: async (id) => {
    const run = reconciler.find(id);
    return run === undefined ? undefined : runBody(run);
  },
});

export function runBody(run: Run): RunBody {
  return { id: run.id, state: run.state, pairs: run.pairs.map(pairBody), ...(run.error === undefined ? {} : { error: run.error, code: run.code }) };
}

function pairBody({ certificate, corrupt, differingKeys, notStored: _, ...pair }: PairReport): unknown {
  return {
    ...pair,
    corrupt: corrupt.map(({ key }) => namedKey(key)),
    differingKeys: differingKeys.map(namedKey),
    ...(certificate === undefined ? {} : { certificate: certificateBody(certificate) }),
  };
}

export function certificateBody({ atMs, ...certificate }: Certificate): unknown {
  return { ...certificate, at: isoOf(atMs) };
}

/** What is in the system's own collections is nobody's to read. */
function namedKey(encoded: Uint8Array): unknown {
  const key = decodeKey(encoded);
  if (key === undefined) return {};
  return { collection: key.collection, ...(isSystemCollection(key.collection) ? {} : keyObject(key)) };
}
