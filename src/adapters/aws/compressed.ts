// Messages between regions, smaller where that pays: transfer is paid by the byte, and a message by 64 KB.
//
//   u8 COMPRESSED · the message, deflated
//
// To a release that knows nothing of it this is a later format: the message stays in its queue until the region is upgraded.

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { concatBytes } from '../../core/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../../core/limits.ts';
import { MalformedError } from '../../core/version/codec.ts';

const COMPRESSED = 0xc0;
/** Of less, the time is worth more. */
export const COMPRESSED_BYTES_MIN = 1_024;
/** What is saved at least; random values save nothing, and are read once more for it. */
export const PAYS = 0.9;
/** More is not tried: records of JSON become a third to a fifth, and what does not is packed again. */
export const COMPRESSION_MAX = 4;

export function compressed(message: Uint8Array): Uint8Array {
  if (message.length < COMPRESSED_BYTES_MIN) return message;
  const deflated = deflateRawSync(message, { level: 1 });
  return deflated.length + 1 <= PAYS * message.length ? concatBytes(Uint8Array.of(COMPRESSED), new Uint8Array(deflated)) : message;
}

/** @throws MalformedError for what is no such message, or would be larger than any may be */
export function expanded(message: Uint8Array): Uint8Array {
  if (message[0] !== COMPRESSED) return message;
  try {
    return new Uint8Array(inflateRawSync(message.subarray(1), { maxOutputLength: MESSAGE_BYTES_MAX }));
  } catch (error) {
    throw new MalformedError(`Not a compressed message: ${error instanceof Error ? error.message : String(error)}`);
  }
}
