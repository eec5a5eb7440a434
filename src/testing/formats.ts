// A build of the next release among those of this one: its states, and its rows of the ledger, carry one field more, and say
// so by a higher version. What it sends is turned into that form here, and back where a build of the next release reads it.

import { FORMAT_VERSION } from '../core/version/codec.ts';
import { LOSS_FORMAT } from '../core/version/loss-row.ts';
import { decodeRecords, encodeRecords, seal, unseal, type SentRecord } from '../engine/envelope.ts';
import type { PeerMethod } from '../ports/peer.ts';

export type Build = 'this' | 'next';

/** The field that this release does not know. */
const FIELD = new Uint8Array([0xa5, 0x5a, 0xa5]);

/** What both formats begin with here. */
const FORMATS: readonly number[] = [FORMAT_VERSION, LOSS_FORMAT];

const raiseState = (state: Uint8Array): Uint8Array => (FORMATS.includes(state[0] ?? 0) ? new Uint8Array([(state[0] ?? 0) + 1, ...state.subarray(1), ...FIELD]) : state);

const lowerState = (state: Uint8Array): Uint8Array => (FORMATS.includes((state[0] ?? 0) - 1) ? new Uint8Array([(state[0] ?? 0) - 1, ...state.subarray(1, -FIELD.length)]) : state);

const each = (message: Uint8Array, change: (state: Uint8Array) => Uint8Array): Uint8Array => {
  const { envelope, body } = unseal(message);
  if (envelope.refused !== undefined) return message;
  return seal(envelope, encodeRecords(decodeRecords(body).map(({ key, state }): SentRecord => ({ key, state: change(state) }))));
};

const ASKED_WITH_STATES: readonly PeerMethod[] = ['inbox', 'merge'];
const ANSWERED_WITH_STATES: readonly PeerMethod[] = ['fetch'];

/** As it is read by `to` what `from` has sent. Answers whether an old reader meets the new form. */
function pass(message: Uint8Array, from: Build, to: Build): { readonly message: Uint8Array; readonly isTooNew: boolean } {
  if (from === 'this') return { message, isTooNew: false };
  const raised = each(message, raiseState);
  return to === 'next' ? { message: each(raised, lowerState), isTooNew: false } : { message: raised, isTooNew: true };
}

export const passQuestion = (method: PeerMethod, message: Uint8Array, from: Build, to: Build): ReturnType<typeof pass> =>
  ASKED_WITH_STATES.includes(method) ? pass(message, from, to) : { message, isTooNew: false };

export const passAnswer = (method: PeerMethod, message: Uint8Array, from: Build, to: Build): ReturnType<typeof pass> =>
  ANSWERED_WITH_STATES.includes(method) ? pass(message, from, to) : { message, isTooNew: false };
