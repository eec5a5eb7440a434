// A write that knows what it replaces, and replaces something else besides, leaves a row of that. A retry of what it knows is that.

import { utf8Text } from '../core/bytes.ts';
import { actorRegion, compareDots, type Dot, type RegionId } from '../core/version/dot.ts';
import { headDot, type DottedValue, type State } from '../core/version/record.ts';
import { covers, type VersionVector } from '../core/version/version-vector.ts';
import type { LossRow } from '../ports/table.ts';
import { describe, type ClientWrite } from './history.ts';

export interface Replacing {
  readonly region: RegionId;
  /** Undefined: nothing was there, or it is not known. */
  readonly before: State | undefined;
  readonly state: State;
  readonly writer: (value: string) => ClientWrite | undefined;
  /** What whoever read this value had seen, as far as it is known. */
  readonly pastOf: (value: string) => VersionVector | undefined;
  /** Under which a value was ever committed: two, where its write was done twice. */
  readonly dotsOf: (value: string) => readonly Dot[];
  /** By somebody who had read it. */
  readonly isWrittenOver: (value: string) => boolean;
  readonly rows: () => readonly LossRow[];
  /** What the write of a row had replaced, as far as it is known. */
  readonly pastOfRow: (row: LossRow) => readonly VersionVector[];
}

const textOf = (held: DottedValue | undefined): string => utf8Text(held?.value.bytes ?? new Uint8Array(0)) ?? '';

/** Of a commit under `lww` that is sent on: which write has replaced what unseen, and no row says so. */
export function replacedUnseen({ region, before, state, writer, pastOf, dotsOf, isWrittenOver, rows, pastOfRow }: Replacing): string | undefined {
  const [replaced, ...more] = before?.values ?? [];
  const write = writer(textOf(state.values[0]));
  const [seen] = write?.superseded ?? [];
  if (replaced === undefined || more.length > 0 || write === undefined || write.isBlind || write.ifMatch !== undefined || seen === undefined || write.superseded.length > 1 || state.values.length > 1) return undefined;
  if (writer(seen)?.effect === 'duplicate') return undefined; // told of what is deleted by now, a client has the context of that delete
  const past = pastOf(seen);
  const text = textOf(replaced);
  if (past === undefined || dotsOf(text).some((dot) => covers(past, dot)) || text === seen || text === write.value || replaced.value.expiresMs !== undefined) return undefined;
  // From a peer that did not know the policy yet came several siblings, of which one stands: another one of them had read what is replaced here.
  const head = headDot(state);
  if (head !== undefined && actorRegion(head.actor) !== region && isWrittenOver(text)) return undefined;
  if (rows().some((row) => compareDots(row.dot, replaced.dot) === 0 || pastOfRow(row).some((past) => covers(past, replaced.dot)))) return undefined;
  return `${describe(write)} replaced ${text}`;
}
