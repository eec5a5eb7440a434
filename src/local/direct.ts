// The direct door on a Node server: a request as it came from the parser, an answer as it goes to the socket.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Asked } from '../http/call.ts';
import type { DirectDoor } from '../http/direct.ts';
import { isToldEmpty, type Reply } from '../http/reply.ts';
import { atEndOfTurn } from './end-of-turn.ts';

/** Larger bodies, and requests with more fields, go in by the main door. */
const BODY_BYTES_MAX = 256 * 1024;
const FIELDS_MAX = 32;

/** True when the request was taken. */
export function takeDirectly(door: DirectDoor, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  const asked = DirectRequest.of(incoming);
  const answer = asked === undefined ? undefined : door(asked);
  if (answer === undefined) return false;
  answer.then(
    (reply) => writeLater([outgoing, reply]),
    () => incoming.socket.destroy(), // its body did not come: there is nobody to tell
  );
  return true;
}

class DirectRequest implements Asked {
  readonly method: string;
  readonly rawTarget: string;
  readonly forwarded = false;
  readonly #incoming: IncomingMessage;
  readonly #fields: readonly string[];
  readonly #length: number;

  private constructor(incoming: IncomingMessage, length: number) {
    this.method = incoming.method ?? '';
    this.rawTarget = incoming.url ?? '';
    this.#incoming = incoming;
    this.#fields = incoming.rawHeaders;
    this.#length = length;
  }

  /** Undefined for a request with anything about it that the main door judges: how it is framed, fields that come twice. */
  static of(incoming: IncomingMessage): DirectRequest | undefined {
    const { method, rawHeaders, httpVersion } = incoming;
    if (httpVersion !== '1.1' || rawHeaders.length > 2 * FIELDS_MAX || hasRepeatedField(rawHeaders)) return undefined;
    const length = fieldOf(rawHeaders, 'content-length');
    if (!isPlainHost(fieldOf(rawHeaders, 'host'))) return undefined;
    if (fieldOf(rawHeaders, 'transfer-encoding') !== undefined || fieldOf(rawHeaders, 'expect') !== undefined) return undefined;
    if (method === 'GET') return length === undefined ? new DirectRequest(incoming, 0) : undefined;
    if (method !== 'PUT' || length === undefined || !/^[0-9]{1,9}$/.test(length)) return undefined;
    return Number(length) <= BODY_BYTES_MAX ? new DirectRequest(incoming, Number(length)) : undefined;
  }

  field(name: string): string | undefined {
    return fieldOf(this.#fields, name);
  }

  headers(): Headers {
    const headers = new Headers();
    for (let at = 0; at < this.#fields.length; at += 2) headers.append(this.#fields[at] as string, this.#fields[at + 1] as string);
    return headers;
  }

  bytes(): Promise<Uint8Array> {
    return readBody(this.#incoming, this.#length);
  }

  stream(): null {
    return null; // a body has a length here
  }
}

const HOST = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$/;
const PORT_MAX = 65_535;

/** What else may stand there is the main door's to judge. */
export function isPlainHost(host: string | undefined): boolean {
  const match = host === undefined ? null : HOST.exec(host);
  return match !== null && Number(match[1] ?? 0) <= PORT_MAX;
}

/** Fields are few and asked for by length first: cheaper than an object of all of them in small letters. */
function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    const other = fields[at] as string;
    if (other.length === name.length && (other === name || other.toLowerCase() === name)) return fields[at + 1];
  }
  return undefined;
}

function hasRepeatedField(fields: readonly string[]): boolean {
  for (let at = 2; at < fields.length; at += 2) {
    const name = fields[at] as string;
    for (let before = 0; before < at; before += 2) {
      const other = fields[before] as string;
      if (other.length === name.length && other.toLowerCase() === name.toLowerCase()) return true;
    }
  }
  return false;
}

/** What came in the same packet as the head is there one tick later, and can be taken without any event. */
function readBody(incoming: IncomingMessage, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    process.nextTick(() => {
      const first = incoming.read() as Buffer | null;
      if (first !== null && first.length === length) return resolve(first);
      const chunks = first === null ? [] : [first];
      incoming
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .once('end', () => resolve(Buffer.concat(chunks)))
        .once('error', reject)
        .once('close', () => reject(new Error('The body broke off.')));
    });
  });
}

const writeLater = atEndOfTurn<readonly [ServerResponse, Reply]>((answers) => {
  for (const [outgoing, reply] of answers) {
    const { status, headers, body } = reply;
    const fields: Record<string, string | number> = headers;
    // Without the length Node would frame the body in chunks.
    if (isToldEmpty(reply)) fields['content-length'] = 0;
    else if (body !== null) fields['content-length'] = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    outgoing.writeHead(status, fields);
    outgoing.end(body ?? undefined);
  }
});
