// Leases: one holder at a time for a named job, with a fencing token that rises with every grant, so that whoever comes
// back from a long pause with an old lease is told apart from the holder. Kept as a document with compare-and-set.
//
//   granted ────────── holder works ─────────── until ──▶ free
//      token n                                  a later grant has token n + 1

import { utf8, utf8Text } from '../core/bytes.ts';
import type { Table } from '../ports/table.ts';

export interface Lease {
  readonly holder: string;
  readonly token: number;
  readonly untilMs: number;
}

const nameOf = (job: string): string => `lease/${job}`;

const parse = (bytes: Uint8Array): Lease => JSON.parse(utf8Text(bytes) ?? '') as Lease;

/**
 * The lease, or undefined while another holder's lasts. The holder itself takes over with a new token: the one it had
 * before died with its process. Tokens also rise with time, so that they do not begin again in a table that was wiped.
 */
export async function acquireLease(table: Table, job: string, holder: string, nowMs: number, lastsMs: number): Promise<Lease | undefined> {
  const stored = await table.document(nameOf(job));
  const before = stored === undefined ? undefined : parse(stored.bytes);
  // One that would last longer than any is granted for is from before a clock was put back.
  const isHeld = before !== undefined && before.untilMs > nowMs && before.untilMs <= nowMs + lastsMs;
  if (isHeld && before.holder !== holder) return undefined;
  const lease: Lease = { holder, token: Math.max((before?.token ?? 0) + 1, nowMs), untilMs: nowMs + lastsMs };
  return (await table.putDocument(nameOf(job), utf8(JSON.stringify(lease)), stored?.revision)) ? lease : undefined;
}

/** Lasts from now on again; false when it was taken over. */
export async function renewLease(table: Table, job: string, token: number, nowMs: number, lastsMs: number): Promise<boolean> {
  const stored = await table.document(nameOf(job));
  const lease = stored === undefined ? undefined : parse(stored.bytes);
  if (stored === undefined || lease?.token !== token) return false;
  return table.putDocument(nameOf(job), utf8(JSON.stringify({ ...lease, untilMs: nowMs + lastsMs })), stored.revision);
}

export async function releaseLease(table: Table, job: string, lease: Lease): Promise<void> {
  const stored = await table.document(nameOf(job));
  if (stored === undefined || parse(stored.bytes).token !== lease.token) return;
  await table.putDocument(nameOf(job), utf8(JSON.stringify({ ...lease, untilMs: 0 })), stored.revision);
}

/** Is this token still the newest grant? A holder whose lease was taken over must not report a result. */
export async function isCurrent(table: Table, job: string, token: number): Promise<boolean> {
  const stored = await table.document(nameOf(job));
  return stored !== undefined && parse(stored.bytes).token === token;
}
