// A hono app on a listening socket of this machine.

import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createNetServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { ArchipelError } from '../core/errors.ts';
import { BATCH_BYTES_MAX, HEADER_BYTES_MAX } from '../core/limits.ts';
import type { DirectDoor } from '../http/direct.ts';
import { problemDocument, problemResponse } from '../http/problem.ts';
import { nodeRandom } from '../adapters/node/crypto.ts';
import { toHex } from '../core/bytes.ts';
import { takeDirectly } from './direct.ts';
import { DirectSockets } from './direct-socket.ts';

/** Of what never reaches the app, which names the others. */
const newRequestId = (): string => toHex(nodeRandom.bytes(8));

/** What every app here has in common. */
export interface Fetches {
  fetch(request: Request, environment: { readonly incoming: IncomingMessage }): Response | Promise<Response>;
}

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly place: string;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** For what needs neither Request nor Response. */
  readonly direct?: DirectDoor;
  /** Nobody else is sent what is written here: an answer waits for nobody. */
  readonly isAlone?: boolean;
}

export interface RunningServer {
  readonly port: number;
  /** Requests that were answered without Node's server, and connections that were given to it. */
  readonly direct: { readonly answered: number; readonly handedOver: number };
  /** Takes no new requests, lets those under way finish for a moment, then closes. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 1_000;
/** A connection that says nothing is closed after so long: before its first request, and between two. */
const FIRST_MS = 10_000;
const IDLE_MS = 65_000;

/** @throws ArchipelError `bad-request` with a sentence for people when the address cannot be listened on */
export async function serve(app: Fetches, options: ServerOptions): Promise<RunningServer> {
  const listener = getRequestListener((request, environment) => app.fetch(request, environment as { incoming: IncomingMessage }), {
    errorHandler: () => problemResponse(new ArchipelError('bad-request', 'The request line or the Host field is not valid.'), { instance: newRequestId(), region: options.place }),
  });
  const limits = { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 30_000, headersTimeout: FIRST_MS, connectionsCheckingInterval: 5_000, keepAliveTimeout: IDLE_MS, noDelay: true, insecureHTTPParser: false };
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    if (options.direct !== undefined && takeDirectly(options.direct, incoming, outgoing)) return;
    const { 'content-length': length = '0', 'transfer-encoding': coding } = incoming.headers;
    if (coding !== undefined) boundChunks(incoming, outgoing);
    if (coding !== undefined || Number(length) > LEFTOVER_BYTES_MAX) boundLeftovers(incoming, outgoing);
    const fault = faultOf(incoming);
    if (fault === undefined) void listener(incoming, outgoing);
    else answerProblem(outgoing, new ArchipelError('bad-request', fault), options.place);
  };
  const server: Server = options.tls === undefined ? createHttpServer(limits, handle) : createHttpsServer({ ...limits, ...options.tls }, handle);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket, options.place));
  const sockets = options.direct === undefined || options.tls !== undefined ? undefined : takeSockets(server, options.direct, options.isAlone === true);
  await listen(server, options);
  return { port: (server.address() as AddressInfo).port, direct: sockets?.stats ?? { answered: 0, handedOver: 0 }, close: () => close(server, sockets) };
}

/** Each new connection comes to the direct door first. */
function takeSockets(server: Server, door: DirectDoor, isAlone: boolean): DirectSockets {
  const [ofNode] = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  const sockets = new DirectSockets({ door, handOver: (socket) => ofNode?.call(server, socket), isAlone, firstMs: FIRST_MS, idleMs: IDLE_MS });
  server.on('connection', (socket) => sockets.take(socket));
  return sockets;
}

/** What Node's parser lets pass. RFC 9112, 3.2: of two hosts each proxy on the way may have believed another one. */
function faultOf({ rawHeaders, httpVersion }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'This is spoken as HTTP/1.1.';
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === 'host') hosts++;
  return hosts <= 1 ? undefined : 'A request names its host once.';
}

function answerProblem(outgoing: ServerResponse, error: ArchipelError, place: string): void {
  const document = problemDocument(error, { instance: newRequestId(), region: place });
  outgoing.writeHead(document.status, { 'content-type': 'application/problem+json', connection: 'close' }).end(JSON.stringify(document));
}

/** The largest body that is taken in chunks (a batch), and as much again for their framing. */
const CHUNKED_BYTES_MAX = 2 * BATCH_BYTES_MAX;
const CHUNKED_WATCH_MS = 10;

/** Chunks may be framed by any number of bytes (a size may begin with a million zeros) that no reader of the body sees. */
function boundChunks({ socket }: IncomingMessage, outgoing: ServerResponse): void {
  const endAt = socket.bytesRead + CHUNKED_BYTES_MAX;
  const watch = setInterval(() => {
    if (socket.bytesRead > endAt) socket.destroy();
  }, CHUNKED_WATCH_MS);
  outgoing.once('close', () => clearInterval(watch));
}

/** Of a body that was answered before its end: what a client that writes first and listens then may still send. */
const LEFTOVER_BYTES_MAX = 1024 * 1024;
const LEFTOVER_MS_MAX = 500;

/** After its answer a request is read for a moment only: Node alone would read an endless body for as long as it comes. */
function boundLeftovers(incoming: IncomingMessage, outgoing: ServerResponse): void {
  // Before Node's own listener, which would take the body off the wire unseen.
  outgoing.prependOnceListener('finish', () => {
    if (incoming.complete) return;
    const { socket } = incoming;
    const endAt = socket.bytesRead + LEFTOVER_BYTES_MAX;
    const close = (): void => {
      clearTimeout(timer);
      incoming.off('data', count).off('end', settle).off('close', settle);
      socket.destroySoon();
    };
    const count = (): void => {
      if (socket.bytesRead > endAt) close();
    };
    const settle = (): void => clearTimeout(timer);
    const timer = setTimeout(close, LEFTOVER_MS_MAX);
    incoming.read(0);
    incoming.on('data', count).once('end', settle).once('close', settle).resume();
  });
}

/** What Node's parser does not accept never reaches the app: it is answered here, in the same form. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex, place: string): void {
  // A request before this one is still being answered: an answer now would be taken for its own. What became of it is
  // unknown then, and a closed connection says so.
  const pending = (socket as Duplex & { readonly _httpMessage?: ServerResponse | null })._httpMessage;
  if (!socket.writable || pending?.headersSent === true || pending?.req.complete === true) return void socket.destroy();
  const isLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const problem = new ArchipelError(isLarge ? 'headers-too-large' : 'bad-request', isLarge ? `The header fields may have ${HEADER_BYTES_MAX} bytes.` : 'The request is not valid HTTP/1.1, or did not arrive in time.');
  const document = problemDocument(problem, { instance: newRequestId(), region: place });
  const body = JSON.stringify(document);
  socket.end(`HTTP/1.1 ${document.status} ${isLarge ? 'Request Header Fields Too Large' : 'Bad Request'}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

function listen(server: NetServer, { host, port }: Pick<ServerOptions, 'host' | 'port'>): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : error.code === 'EACCES' ? 'may not be listened on by this user' : `cannot be listened on (${error.code})`;
      reject(new ArchipelError('bad-request', `${host}:${port} ${why}.`, {}, error));
    });
    server.listen(port, host, resolve);
  });
}

/**
 * Asked before a store is opened, so that a port in use is told before anything is touched.
 * @throws ArchipelError `bad-request` with a sentence for people
 */
export async function assertFree(host: string, port: number): Promise<void> {
  const probe = createNetServer();
  await listen(probe, { host, port });
  await new Promise<void>((resolve) => probe.close(() => resolve()));
}

function close(server: Server, sockets: DirectSockets | undefined): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.closeAllConnections();
      sockets?.closeAll();
    }, CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
    sockets?.close();
  });
}
