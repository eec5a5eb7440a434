// Leases: one holder at a time for a named job, with a fencing token that rises with every grant, so that whoever comes
// back from a long pause with an old lease is told apart from the holder. Kept as a document with compare-and-set.
//
// A question may arrive twice, and the second time late. So an asker names its asking: asked again, the same lease is told,
// and one that was given back is neither granted nor renewed again, or nobody could have it before it runs out.
//
//   granted ────────── holder works ─────────── until ──▶ free
//      token n                                  a later grant has token n + 1

import { utf8, utf8Text } from '../core/bytes.ts';
import type { Table } from '../ports/table.ts';

export interface Lease {
  readonly holder: string;
  readonly token: number;
  /** Zero when it was given back. */
  readonly untilMs: number;
  /** The asking that it was granted for. */
  readonly asked?: string | undefined;
}

export interface LeaseWish {
  readonly holder: string;
  /** Drawn anew for each asking, not for each time that it is sent. */
  readonly asked: string | undefined;
  readonly nowMs: number;
  readonly lastsMs: number;
}

const GIVEN_BACK_MS = 0;

const nameOf = (job: string): string => `lease/${job}`;

/** Until nobody else writes in between: the other may be the same question, delivered twice. */
async function changeLease<T>(table: Table, job: string, decide: (before: Lease | undefined) => { readonly result: T; readonly next?: Lease }): Promise<T> {
  for (;;) {
    const stored = await table.document(nameOf(job));
    const { result, next } = decide(stored === undefined ? undefined : (JSON.parse(utf8Text(stored.bytes) ?? '') as Lease));
    if (next === undefined || (await table.putDocument(nameOf(job), utf8(JSON.stringify(next)), stored?.revision))) return result;
  }
}

/**
 * The lease, or undefined while another holder's lasts. The holder itself takes over with a new token: the one it had
 * before died with its process. Tokens also rise with time, so that they do not begin again in a table that was wiped.
 */
export function acquireLease(table: Table, job: string, { holder, asked, nowMs, lastsMs }: LeaseWish): Promise<Lease | undefined> {
  return changeLease(table, job, (before) => {
    if (before !== undefined && asked !== undefined && before.asked === asked) return { result: before.untilMs === GIVEN_BACK_MS ? undefined : before };
    // One that would last longer than any is granted for is from before a clock was put back.
    const isHeld = before !== undefined && before.untilMs > nowMs && before.untilMs <= nowMs + lastsMs;
    // mark if (isHeld && before.holder !== holder): lease held by the other
    // mark if (isHeld && before.holder === holder): lease of a run that died taken over
    if (isHeld && before.holder !== holder) return { result: undefined };
    const lease: Lease = { holder, token: Math.max((before?.token ?? 0) + 1, nowMs), untilMs: nowMs + lastsMs, asked };
    return { result: lease, next: lease };
  });
}

/** Lasts from now on again; false when it was taken over, or given back. */
export function renewLease(table: Table, job: string, token: number, nowMs: number, lastsMs: number): Promise<boolean> {
  return changeLease(table, job, (lease) =>
    lease?.token !== token || lease.untilMs === GIVEN_BACK_MS ? { result: false } : { result: true, next: { ...lease, untilMs: nowMs + lastsMs } },
  );
}

export function releaseLease(table: Table, job: string, { token }: Lease): Promise<void> {
  return changeLease(table, job, (lease) => (lease?.token === token ? { result: undefined, next: { ...lease, untilMs: GIVEN_BACK_MS } } : { result: undefined }));
}

/** Is this token still the newest grant? A holder whose lease was taken over must not report a result. */
export function isCurrent(table: Table, job: string, token: number): Promise<boolean> {
  return changeLease(table, job, (lease) => ({ result: lease?.token === token }));
}
