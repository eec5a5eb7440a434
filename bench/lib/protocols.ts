// How the load generator speaks: bytes of a request, and reading its answer from what arrives. Beside HTTP what our peers
// speak, as little of it as putting and getting one value takes; each request goes out when the one before is answered.

import { HttpReader, requestBytes, type Answered, type Reader, type Speaking } from './wire.ts';

export type ProtocolName = 'http' | 'etcd' | 'redis' | 'nats';

/** One connection's way of speaking. */
export interface Speaker extends Speaking {
  put(key: string, value: Uint8Array): Uint8Array;
  get(key: string): Uint8Array;
  /** Anything else, where there is something else. */
  ask?(subject: string, body: string): Uint8Array;
}

// etcd: its JSON gateway -------------------------------------------------------------------------------------------------------

const JSON_TYPE = { 'content-type': 'application/json' };
const base64 = (value: string | Uint8Array): string => Buffer.from(value as Uint8Array).toString('base64');

const etcd = (): Speaker => ({
  reader: new HttpReader(),
  put: (key, value) => requestBytes('POST', '/v3/kv/put', JSON_TYPE, Buffer.from(`{"key":"${base64(key)}","value":"${base64(value)}"}`)),
  get: (key) => requestBytes('POST', '/v3/kv/range', JSON_TYPE, Buffer.from(`{"key":"${base64(key)}"}`)),
});

// Redis: RESP ------------------------------------------------------------------------------------------------------------------

/** What an answer is at its end, by its bytes until now. */
abstract class TextReader implements Reader {
  #text = '';
  #reads = 0;

  begin(): void {
    this.#text = '';
    this.#reads = 0;
  }

  read(bytes: Buffer, length: number): Answered | undefined {
    this.#text += bytes.toString('latin1', 0, length);
    this.#reads++;
    const status = this.statusOf(this.#text);
    return status === undefined ? undefined : { status, head: '', reads: this.#reads };
  }

  protected abstract statusOf(text: string): number | undefined;
}

class RespReader extends TextReader {
  protected override statusOf(text: string): number | undefined {
    const end = text.indexOf('\r\n');
    if (end < 0) return undefined;
    if (text[0] === '-') return 500;
    if (text[0] !== '$') return 200;
    const length = Number(text.slice(1, end));
    if (length < 0) return 404;
    return text.length < end + 2 + length + 2 ? undefined : 200;
  }
}

const bulk = (bytes: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
const command = (...parts: readonly (string | Uint8Array)[]): Uint8Array => Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...parts.map((part) => bulk(Buffer.from(part as Uint8Array)))]);

const redis = (): Speaker => ({ reader: new RespReader(), put: (key, value) => command('SET', key, value), get: (key) => command('GET', key) });

// NATS: a key-value store of JetStream, by its subjects ---------------------------------------------------------------------------------

export const NATS_STORE = 'bench';

class NatsReader extends TextReader {
  protected override statusOf(text: string): number | undefined {
    for (let at = 0; ; ) {
      const end = text.indexOf('\r\n', at);
      if (end < 0) return undefined;
      const line = text.slice(at, end);
      at = end + 2;
      if (line.startsWith('-ERR')) return 500;
      if (!line.startsWith('MSG ') && !line.startsWith('HMSG ')) continue; // INFO, PING, +OK
      const length = Number(line.slice(line.lastIndexOf(' ') + 1));
      if (text.length < at + length + 2) return undefined;
      const message = text.slice(at, at + length);
      return message.startsWith('NATS/1.0 404') ? 404 : /^NATS\/1\.0 [45]|"error"/.test(message.slice(0, 200)) ? 500 : 200;
    }
  }
}

let inboxes = 0;

/** Each connection has an inbox of its own: what is sent to one goes to everybody who listens there. */
function nats(): Speaker {
  const inbox = `_INBOX.${process.pid}.${inboxes++}`;
  const published = (subject: string, body: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(`PUB ${subject} ${inbox} ${body.length}\r\n`), body, Buffer.from('\r\n')]);
  return {
    greeting: `CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"ts","version":"0"}\r\nSUB ${inbox} 1\r\n`,
    reader: new NatsReader(),
    put: (key, value) => published(`$KV.${NATS_STORE}.${key}`, value),
    get: (key) => published(`$JS.API.DIRECT.GET.KV_${NATS_STORE}.$KV.${NATS_STORE}.${key}`, new Uint8Array(0)),
    ask: (subject, body) => published(subject, Buffer.from(body)),
  };
}

const SPEAKERS: Readonly<Record<Exclude<ProtocolName, 'http'>, () => Speaker>> = { etcd, redis, nats };

export const speaker = (name: Exclude<ProtocolName, 'http'>): Speaker => SPEAKERS[name]();
