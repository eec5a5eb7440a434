// HTTP requests on kept-alive connections, with the target exactly as given: fetch would normalise it.

import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
}

export interface HttpQuestion {
  readonly method: string;
  /** Path and query, as they go on the wire. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
}

export interface HttpClientOptions {
  /** PEM of a certificate to trust besides the system's. */
  readonly ca?: string | undefined;
  readonly sockets?: number;
}

export class HttpClient {
  readonly #base: URL;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #ca: string | undefined;

  constructor(url: string, options: HttpClientOptions = {}) {
    this.#base = new URL(url);
    const pool = { keepAlive: true, maxSockets: options.sockets ?? 64, scheduling: 'lifo' } as const;
    this.#ca = options.ca;
    this.#agent = this.#base.protocol === 'https:' ? new HttpsAgent({ ...pool, ...(options.ca === undefined ? {} : { ca: options.ca }) }) : new HttpAgent(pool);
  }

  /**
   * Rejects when no whole answer came in time. A request on a kept connection that the other side had just closed is sent
   * once more: whatever we send bears being received twice (merges are idempotent, writes carry an operation id).
   */
  async send(question: HttpQuestion): Promise<HttpAnswer> {
    try {
      return await this.#send(question);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#send(question);
    }
  }

  #send(question: HttpQuestion): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const length = question.body === undefined ? {} : { 'content-length': String(question.body.length) };
      const options = {
        host: this.#base.hostname.replace(/^\[|\]$/g, ''),
        port: this.#base.port === '' ? undefined : Number(this.#base.port),
        method: question.method,
        path: question.target,
        headers: { ...question.headers, ...length },
        agent: this.#agent,
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      };
      const request = this.#base.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
      // From the first byte to the last: a slow trickle must not outlive the deadline.
      const timer = setTimeout(() => request.destroy(new Error('No answer in time.')), question.timeoutMs);
      let answered = false;
      const fail = (error: Error): void => {
        clearTimeout(timer);
        const isStale = request.reusedSocket && !answered && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
        reject(isStale ? new StaleConnection(error) : error);
      };
      request.on('error', fail);
      request.on('response', (response) => {
        answered = true;
        const chunks: Uint8Array[] = [];
        response.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        response.on('error', fail);
        response.on('aborted', () => fail(new Error('The answer broke off.')));
        response.on('end', () => {
          clearTimeout(timer);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, rawHeaders: response.rawHeaders, body: chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks) });
        });
      });
      request.end(question.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

const UNSENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL']);

/** What OpenSSL, and Node after it, find wrong with a certificate: seen in the handshake, and as wrong at the next attempt. */
const CERTIFICATE = /^(UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

export const isCertificateRefused = (error: unknown): boolean => CERTIFICATE.test((error as NodeJS.ErrnoException).code ?? '');

/** Nothing of the request was sent. */
export const isUnsent = (error: unknown): boolean => UNSENT.has((error as NodeJS.ErrnoException).code ?? '') || isCertificateRefused(error);

/** The server closed an idle connection while the request was on its way: nothing was read of it, as far as anyone can tell. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super('Stale connection.', { cause });
  }
}
