// The direct door on a bare socket: a request that lies whole in what was read, in the plainest form that HTTP/1.1 has, is
// read and answered without Node's HTTP server, whose parser, streams and objects cost more than the rest of a GET.
//
//   1. Only the plainest form is read here: GET or PUT, fields of visible ASCII, none twice, one Content-Length, nothing
//      about framing, transfer or connection. Everything else is handed over.
//   2. Handing over gives the socket, with all bytes that were not answered, to Node's server, which judges it by its own
//      rules; it never comes back. So what is hostile, slow or in pieces meets the parser that is made for it.
//   3. One request of a connection is under way at a time; what a client sends ahead waits in the socket.
//   4. Answers have the fields that Node's server would give them; a test compares the two, byte by byte.

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Slab } from '../core/bytes.ts';
import type { Asked } from '../http/call.ts';
import type { DirectDoor } from '../http/direct.ts';
import { isPlainHost } from './direct.ts';
import { atEndOfTurn } from './end-of-turn.ts';
import { sharingReads } from './shared-read.ts';
import { isToldEmpty, type Reply } from '../http/reply.ts';

const BODY_BYTES_MAX = 256 * 1024;
const HEAD_BYTES_MAX = 8 * 1024;
const FIELDS_MAX = 32;
/** Read ahead of an answer; then the socket is not read until it is given. */
const AHEAD_BYTES_MAX = 64 * 1024;
/**
 * With so many requests under way an answer is written at the moment the disk has done: clients go on while this process does
 * the rest. With fewer it waits until the peers have been sent the write: a client that is woken first takes their processor,
 * and they see the write half a millisecond later (two cores, 100 writes a second). A region without peers never waits.
 */
const MANY = 8;
const bodies = new Slab();
const HEAD_END = Buffer.from('\r\n\r\n');
const REQUEST_LINE = /^(GET|PUT) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
/** RFC 9110, 5.5: the value without white space around it, and at least one character of it. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)$/;
const LENGTH = /^[0-9]{1,9}$/;
/** What says that there is more to this message, or to this connection, than a request and an answer. */
const FOR_NODE: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade', 'te', 'trailer', 'connection']);

export interface DirectSocketOptions {
  readonly door: DirectDoor;
  /** Node's server. */
  readonly handOver: (socket: Socket) => void;
  /** Nobody else is sent what is written here. */
  readonly isAlone?: boolean;
  /** A connection without a request under way is closed after so long. */
  readonly idleMs: number;
  /** The first request comes within this. */
  readonly firstMs: number;
}

/** The connections of one server that are not handed over (yet). */
export class DirectSockets {
  readonly options: DirectSocketOptions;
  readonly #open = new Set<Connection>();
  readonly #watch: NodeJS.Timeout;
  isClosing = false;
  /** Requests under way. */
  busy = 0;
  readonly stats = { answered: 0, handedOver: 0 };

  constructor(options: DirectSocketOptions) {
    this.options = options;
    this.#watch = setInterval(() => this.#closeIdle(performance.now()), Math.min(options.firstMs, options.idleMs) / 2).unref();
  }

  take(socket: Socket): void {
    const connection = new Connection(this, socket);
    this.#open.add(connection);
    connection.begin();
  }

  gone(connection: Connection): void {
    this.#open.delete(connection);
  }

  #closeIdle(nowMs: number): void {
    for (const connection of this.#open) if (nowMs >= connection.idleUntilMs) connection.destroy();
  }

  /** Idle connections are closed now, the others behind their answer. */
  close(): void {
    this.isClosing = true;
    clearInterval(this.#watch);
    this.#closeIdle(Number.MAX_VALUE);
  }

  closeAll(): void {
    for (const connection of this.#open) connection.destroy();
  }
}

class Connection {
  readonly #all: DirectSockets;
  readonly #socket: Socket;
  /** What arrives lies in the buffer of all sockets. */
  readonly #isSharing: boolean;
  #isHandedOver = false;
  /** What was read and not answered. */
  #bytes: Buffer | undefined;
  #isBusy = false;
  /** The request under way is, and its promise has still to tell. */
  #isAnswered = false;
  #hasEnded = false;
  /** A client sends the same fields again and again: their text, and what they say. */
  #text = '';
  #fields: Fields | undefined;
  /** Infinite while a request is under way. */
  idleUntilMs: number;

  constructor(all: DirectSockets, socket: Socket) {
    this.#all = all;
    const sharing = sharingReads(socket, (bytes) => this.#onShared(bytes));
    this.#socket = sharing ?? socket;
    this.#isSharing = sharing !== undefined;
    this.idleUntilMs = performance.now() + all.options.firstMs;
  }

  begin(): void {
    if (!this.#isSharing) this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose).on('drain', this.#onDrain);
  }

  #onShared(bytes: Buffer): boolean {
    if (this.#isHandedOver) return this.#socket.push(Buffer.from(bytes));
    this.#onData(this.#isBusy ? Buffer.from(bytes) : bytes);
    return true;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#isBusy) this.#next();
    else if (this.#bytes.length > AHEAD_BYTES_MAX) this.#socket.pause();
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    if (!this.#isBusy) this.#socket.end();
  };

  readonly #onError = (): void => this.destroy();

  readonly #onClose = (): void => this.#all.gone(this);

  readonly #onDrain = (): void => {
    if (!this.#isAnswered) this.#goOn();
  };

  destroy(): void {
    this.#socket.destroy();
  }

  #next(): void {
    const bytes = this.#bytes as Buffer;
    const request = this.#read(bytes);
    const answer = request === undefined ? undefined : this.#all.options.door(request);
    if (request === undefined || answer === undefined) return this.#handOver(bytes);
    this.#bytes = bytes.length === request.end ? undefined : this.#own(bytes.subarray(request.end));
    this.#all.stats.answered++;
    this.#isBusy = true;
    this.idleUntilMs = Number.POSITIVE_INFINITY;
    this.#all.busy++;
    answer.then(this.#onReply, this.#onFailure);
  }

  readonly #onReply = (reply: Reply): void => {
    this.#all.busy--;
    if (this.#isAnswered) this.#wasAnswered();
    else writeLater({ connection: this, reply });
  };

  readonly #onFailure = (): void => {
    this.#all.busy--;
    this.destroy();
  };

  /** Called from within the store, which is not to be come back to from here: the next request waits for the promise. */
  readonly #answerNow = (reply: Reply): void => {
    if (this.#all.busy < MANY && this.#all.options.isAlone !== true) return; // the promise brings it
    const bytes = answerBytes(reply, lastFields(Date.now()));
    this.#isAnswered = true;
    this.#send(bytes);
  };

  #wasAnswered(): void {
    this.#isAnswered = false;
    if (!this.#socket.destroyed && !this.#socket.writableNeedDrain) this.#goOn();
  }

  /** 1. Undefined when it is not whole, or not of the plainest form. */
  #read(bytes: Buffer): DirectRequest | undefined {
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd < 0 || headEnd > HEAD_BYTES_MAX) return undefined;
    const head = bytes.toString('latin1', 0, headEnd);
    const lineEnd = head.indexOf('\r\n');
    const line = REQUEST_LINE.exec(head.slice(0, lineEnd));
    if (line === null || lineEnd < 0) return undefined;
    const text = head.slice(lineEnd + 2);
    if (text !== this.#text || this.#fields === undefined) {
      this.#fields = readFields(text);
      this.#text = text;
    }
    const fields = this.#fields;
    const [, method = '', target = ''] = line;
    if (fields === undefined || (method === 'PUT') !== (fields.length >= 0)) return undefined;
    const bodyAt = headEnd + HEAD_END.length;
    const end = bodyAt + Math.max(0, fields.length);
    return bytes.length < end ? undefined : new DirectRequest(method, target, fields, { body: this.#body(bytes.subarray(bodyAt, end)), end, answerNow: method === 'PUT' ? this.#answerNow : undefined });
  }

  #own(bytes: Buffer): Buffer {
    return this.#isSharing ? Buffer.from(bytes) : bytes;
  }

  /** Gone as soon as it is stored. */
  #body(bytes: Buffer): Uint8Array {
    return this.#isSharing ? bodies.copyOf(bytes) : bytes;
  }

  /** 2 */
  #handOver(bytes: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onError).off('close', this.#onClose).off('drain', this.#onDrain);
    this.#all.gone(this);
    this.#all.stats.handedOver++;
    socket.pause();
    this.#isHandedOver = true;
    socket.unshift(this.#own(bytes));
    this.#all.options.handOver(socket);
    socket.resume();
  }

  write(bytes: string | Buffer): void {
    if (this.#send(bytes)) this.#goOn(); // else when the client has read
  }

  #send(bytes: string | Buffer): boolean {
    if (this.#socket.destroyed) return false;
    return typeof bytes === 'string' ? this.#socket.write(bytes, 'latin1') : this.#socket.write(bytes);
  }

  #goOn(): void {
    this.#isBusy = false;
    this.idleUntilMs = performance.now() + this.#all.options.idleMs;
    if (this.#all.isClosing || (this.#hasEnded && this.#bytes === undefined)) return void this.#socket.end();
    if (this.#socket.isPaused()) this.#socket.resume();
    if (this.#bytes !== undefined) this.#next();
  }
}

interface Fields {
  /** Names in small letters. */
  readonly values: ReadonlyMap<string, string>;
  /** A bit for the length of each name (those of 31 and more share one): of most that are asked for there is none as long. */
  readonly lengths: number;
  /** Of the body; -1 where none was told. */
  readonly length: number;
}

function readFields(text: string): Fields | undefined {
  const values = new Map<string, string>();
  const lines = text.split('\r\n');
  if (lines.length > FIELDS_MAX) return undefined;
  for (const line of lines) {
    const field = FIELD.exec(line);
    const name = field?.[1]?.toLowerCase();
    const value = field?.[2];
    if (name === undefined || value === undefined || values.has(name)) return undefined;
    if (FOR_NODE.has(name) && !(name === 'connection' && value.toLowerCase() === 'keep-alive')) return undefined;
    values.set(name, value);
  }
  if (!isPlainHost(values.get('host'))) return undefined;
  let lengths = 0;
  for (const name of values.keys()) lengths |= lengthBit(name);
  const length = values.get('content-length');
  if (length === undefined) return { values, lengths, length: -1 };
  return LENGTH.test(length) && Number(length) <= BODY_BYTES_MAX ? { values, lengths, length: Number(length) } : undefined;
}

const lengthBit = (name: string): number => 1 << Math.min(name.length, 31);

class DirectRequest implements Asked {
  readonly method: string;
  readonly rawTarget: string;
  readonly forwarded = false;
  /** Where the next request begins. */
  readonly end: number;
  readonly answerNow: ((reply: Reply) => void) | undefined;
  readonly #fields: Fields;
  readonly #body: Uint8Array;

  constructor(method: string, rawTarget: string, fields: Fields, { body, end, answerNow }: { readonly body: Uint8Array; readonly end: number; readonly answerNow: ((reply: Reply) => void) | undefined }) {
    this.method = method;
    this.rawTarget = rawTarget;
    this.#fields = fields;
    this.#body = body;
    this.end = end;
    this.answerNow = answerNow;
  }

  field(name: string): string | undefined {
    return (this.#fields.lengths & lengthBit(name)) === 0 ? undefined : this.#fields.values.get(name);
  }

  headers(): Headers {
    return new Headers([...this.#fields.values]);
  }

  bytes(): Uint8Array {
    return this.#body;
  }

  stream(): null {
    return null; // a body has a length here
  }
}

// Answering ------------------------------------------------------------------------------------------------------------------

const writeLater = atEndOfTurn<{ readonly connection: Connection; readonly reply: Reply }>((answers) => {
  const last = lastFields(Date.now());
  for (const { connection, reply } of answers) {
    try {
      connection.write(answerBytes(reply, last));
    } catch {
      connection.destroy(); // a field that cannot be sent: Node's server would not either
    }
  }
});

const KEEP_ALIVE = 'Connection: keep-alive\r\nKeep-Alive: timeout=65\r\n';
let second = Number.NaN;
let lastOfSecond = '';

function lastFields(nowMs: number): string {
  const now = Math.floor(nowMs / 1_000);
  if (now !== second) {
    second = now;
    lastOfSecond = `Date: ${new Date(nowMs).toUTCString()}\r\n${KEEP_ALIVE}\r\n`;
  }
  return lastOfSecond;
}

/** Anything else in a field could end it, and begin an answer that nobody gave. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const statusLines = new Map<number, string>();

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) statusLines.set(status, (line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`));
  return line;
}

/** @throws TypeError for a field that cannot be sent */
function answerBytes(reply: Reply, last: string): string | Buffer {
  const { status, headers, body } = reply;
  let head = statusLine(status);
  for (const name in headers) {
    const value = headers[name] as string;
    if (!VALUE.test(value)) throw new TypeError(`The field ${name} cannot be sent.`);
    head += `${name}: ${value}\r\n`;
  }
  if (body === null) return isToldEmpty(reply) ? `${head}content-length: 0\r\n${last}` : head + last;
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  head += `content-length: ${length}\r\n${last}`;
  const bytes = Buffer.allocUnsafe(head.length + length);
  bytes.write(head, 0, 'latin1');
  if (typeof body === 'string') bytes.write(body, head.length, 'utf8');
  else bytes.set(body, head.length);
  return bytes;
}
