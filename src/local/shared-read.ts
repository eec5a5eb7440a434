// Sockets of a server that are read into one buffer of all of them. For each read Node allocates 64 KiB, of which a request
// takes one, and gives the rest back: a tenth of what a small PUT costs the whole process. Its own HTTP server does the same as
// we do here, but what it takes for that (`net.Socket`'s option `onread`) a server cannot be asked for; so the socket that it
// accepted is given up for another one on the same handle. Where Node's inside looks different, nothing is done.

import { Socket, type SocketConstructorOpts } from 'node:net';

const READ_BYTES_MAX = 64 * 1024;
const shared = Buffer.allocUnsafeSlow(READ_BYTES_MAX);

/** What is not said of a socket, and has been so since there is a Node. */
interface Inside {
  _handle: (SocketConstructorOpts['handle'] & { readonly useUserBuffer?: unknown }) | null;
  _server: unknown;
  server: unknown;
}

/**
 * The same connection as another socket, on which nothing may have been listened yet. What arrives is told by `read`, not by
 * `data`, and stays where it is until `read` comes back; false: no more for now. Undefined: take the socket as it is.
 */
export function sharingReads(socket: Socket, read: (bytes: Buffer) => boolean): Socket | undefined {
  const old = socket as unknown as Inside;
  const handle = old._handle;
  if (typeof handle?.useUserBuffer !== 'function') return undefined;
  const { _server, server } = old;
  const options = { handle, allowHalfOpen: socket.allowHalfOpen, onread: { buffer: shared, callback: (length: number, bytes: Uint8Array): boolean => read(Buffer.from(bytes.buffer, bytes.byteOffset, length)) } };
  old._handle = null;
  old._server = null; // which counts its connections, and is told by the other one that it is gone
  const same = new Socket(options);
  Object.assign(same as unknown as Inside, { _server, server });
  return same;
}
