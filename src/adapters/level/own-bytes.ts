// What of a record is kept in memory lies in the bytes of its row, not in those of the message that it came with.

import { decodeState } from '../../core/version/codec.ts';
import type { State } from '../../core/version/record.ts';

/**
 * A value that came with a request is a view of all that its socket was read into, which is sixty times as large: what is
 * kept has its bytes in the row. The values are at the end of an image, so the bytes of a single one are its last. The same
 * goes for the hash, which in a message from another region lies between fifty other records.
 */
export function withOwnBytes(state: State, image: Uint8Array): State {
  const [only] = state.values;
  if (only === undefined || state.values.length > 1) return only === undefined ? state : decodeState(image);
  const { bytes, contentType, hash, expiresMs } = only.value;
  const own = { bytes: image.subarray(image.length - bytes.length), contentType, hash: new Uint8Array(hash) };
  const values = [{ dot: only.dot, value: expiresMs === undefined ? own : { ...own, expiresMs } }];
  const { context, operations, deleted, removed } = state;
  return deleted === undefined && removed === undefined ? { values, context, operations } : { ...state, values };
}
