// A state on one line, for dumps, traces, tests and documents. Two regions agree on an item exactly when these lines are
// equal, so nothing that belongs to one replica (revision, kind) is in it.

import { toHex, utf8Text } from '../bytes.ts';
import { formatDot } from './dot.ts';
import { formatOperations } from './operations.ts';
import type { State, Value } from './record.ts';
import { formatStamp, STAMP_ZERO } from './stamp.ts';
import { formatVector } from './version-vector.ts';

/** `{a~1@… "text"; …} ctx {…} ops […]`; a tombstone shows `{}` or the dot of its delete. */
export function formatState(state: State): string {
  const values = state.values.map(({ dot, value }) => `${formatDot(dot)} ${formatValue(value)}`);
  if (state.deleted !== undefined) values.push(`${formatDot(state.deleted)} deleted`);
  const evicted = state.operations.evicted === STAMP_ZERO ? '' : ` evicted ${formatStamp(state.operations.evicted)}`;
  const operations = state.operations.entries.length === 0 && evicted === '' ? '' : ` ops ${formatOperations(state.operations)}${evicted}`;
  const removed = state.removed === undefined ? '' : ` removed [${state.removed.map(formatDot).join(', ')}]`;
  return `{${values.join('; ')}} ctx ${formatVector(state.context)}${operations}${removed}`;
}

/** Short text is shown, anything else by length and hash, so that a line stays a line. */
export function formatValue(value: Value): string {
  const text = value.bytes.length <= 60 ? utf8Text(value.bytes) : undefined;
  const shown = text === undefined ? `${value.bytes.length} B #${toHex(value.hash)}` : JSON.stringify(text);
  return `${shown} ${value.contentType}${value.expiresMs === undefined ? '' : ` until ${new Date(value.expiresMs).toISOString()}`}`;
}

/** Key bytes on one line: text where it is text without control characters, else `0x…`. */
export function formatKeyBytes(bytes: Uint8Array): string {
  const text = utf8Text(bytes);
  return text === undefined || text.startsWith('0x') ? `0x${toHex(bytes)}` : JSON.stringify(text);
}
