// HTTP/1.1 on a kept connection, as little of it as a load generator needs: the request is bytes made beforehand, of the
// answer only status, length and, where somebody asks, the head are looked at. A general client (node:http with an agent)
// costs four times as much per request, which on a machine that it shares with the server would be most of what is seen.

import { connect, type Socket } from 'node:net';

export interface Answered {
  /** As of HTTP, whatever is spoken. */
  readonly status: number;
  /** Of HTTP; valid until the next answer. */
  readonly head: string;
  /** Reads that it took to get the answer: 1 when it came in one piece. */
  readonly reads: number;
}

/** Finds an answer in what arrives. */
export interface Reader {
  /** Before the next request. */
  begin(): void;
  /** Undefined while the answer is not whole. */
  read(bytes: Buffer, length: number): Answered | undefined;
}

/** Of one connection that speaks something else than HTTP. */
export interface Speaking {
  /** Sent once, before the first request; what comes back is passed over. */
  readonly greeting?: string;
  readonly reader: Reader;
}

type Settle = (answer: Answered | undefined) => void;

const READ_BYTES = 64 * 1024;

export class Wire {
  readonly #host: string;
  readonly #port: number;
  readonly #reader: Reader;
  readonly #greeting: string | undefined;
  #socket: Socket | undefined;
  #settle: Settle | undefined;

  constructor(url: string, speaking?: Speaking) {
    const { hostname, port } = new URL(url);
    this.#host = hostname;
    this.#port = Number(port);
    this.#reader = speaking?.reader ?? new HttpReader();
    this.#greeting = speaking?.greeting;
  }

  /** One request at a time. Settles with undefined when the connection broke: the next request makes a new one. */
  send(request: Uint8Array, settle: Settle): void {
    this.#settle = settle;
    this.#reader.begin();
    (this.#socket ??= this.#connect()).write(request);
  }

  ask(request: Uint8Array): Promise<Answered | undefined> {
    return new Promise((resolve) => this.send(request, resolve));
  }

  #connect(): Socket {
    const socket = connect({
      host: this.#host,
      port: this.#port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (length, bytes) => {
          const answer = this.#settle === undefined ? undefined : this.#reader.read(bytes as Buffer, length);
          if (answer !== undefined) this.#finish(answer);
          return true;
        },
      },
    });
    const lost = (): void => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      socket.destroy();
      this.#finish(undefined);
    };
    socket.on('error', lost).on('close', lost).on('end', lost);
    if (this.#greeting !== undefined) socket.write(this.#greeting);
    return socket;
  }

  #finish(answer: Answered | undefined): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(answer);
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

export class HttpReader implements Reader {
  #status = 0;
  #head = '';
  #reads = 0;
  /** Bytes of the body that are still to come; -1 while the head is incomplete, -2 for chunks. */
  #left = -1;
  #partial = '';

  begin(): void {
    this.#left = -1;
    this.#reads = 0;
    this.#partial = '';
  }

  read(bytes: Buffer, length: number): Answered | undefined {
    this.#reads++;
    if (this.#left === -1) {
      const text = this.#partial + bytes.toString('latin1', 0, length);
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#partial = text;
        return undefined;
      }
      this.#status = Number(text.slice(9, 12));
      this.#head = text;
      this.#left = bodyLength(text, end, this.#status);
      if (this.#left === -2) this.#partial = text.slice(end);
      else this.#left -= text.length - end - 4;
    } else if (this.#left === -2) this.#partial = (this.#partial + bytes.toString('latin1', 0, length)).slice(-16);
    else this.#left -= length;
    const isWhole = this.#left === -2 ? this.#partial.endsWith('\r\n0\r\n\r\n') : this.#left <= 0;
    return isWhole ? { status: this.#status, head: this.#head, reads: this.#reads } : undefined;
  }
}

function bodyLength(text: string, end: number, status: number): number {
  if (status === 204 || status === 304) return 0;
  const at = text.indexOf('ontent-length: ');
  const from = at < 0 ? text.indexOf('ontent-Length: ') : at;
  if (from >= 0 && from < end) return Number(text.slice(from + 15, text.indexOf('\r\n', from)));
  return /\ntransfer-encoding: chunked/i.test(text.slice(0, end)) ? -2 : 0;
}

/** The value of a field of an answer's head. */
export function fieldOf(head: string, name: string): string | undefined {
  const at = head.indexOf(`\r\n${name}: `);
  return at < 0 ? undefined : head.slice(at + name.length + 4, head.indexOf('\r\n', at + 2));
}

export function requestBytes(method: string, target: string, headers: Readonly<Record<string, string>>, body?: Uint8Array): Uint8Array {
  const fields = Object.entries({ host: '127.0.0.1', ...headers, ...(body === undefined ? {} : { 'content-length': String(body.length) }) });
  const head = `${method} ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return body === undefined ? Buffer.from(head, 'latin1') : Buffer.concat([Buffer.from(head, 'latin1'), body]);
}
