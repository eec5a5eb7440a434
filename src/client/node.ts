// The client on Node: kept-alive connections of node:http, the machine's clock and randomness.

import { performance } from 'node:perf_hooks';
import { nodeRandom } from '../adapters/node/crypto.ts';
import { HttpClient, isCertificateRefused, isUnsent } from '../adapters/node/http-client.ts';
import type { Clock } from '../ports/clock.ts';
import { Client, type ClientParts } from './client.ts';
import { NoAnswer, type Transport } from './exchange.ts';

/** Unlike the clock of a server, one whose waiting keeps the process alive: a client that waits for its next attempt has nothing else. */
export const patientClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

export interface NodeClientOptions extends Omit<ClientParts, 'transport' | 'clock' | 'random' | 'others'> {
  /** Further addresses of the same cluster, asked where the first does not answer. */
  readonly others?: readonly string[] | undefined;
  /** PEM of a certificate to trust. */
  readonly ca?: string | undefined;
}

export function connect({ ca, others = [], ...parts }: NodeClientOptions): Client {
  const more = others.map((url) => ({ url, transport: nodeTransport(url, ca) }));
  return new Client({ ...parts, others: more, transport: nodeTransport(parts.url, ca), clock: patientClock, random: nodeRandom });
}

export function nodeTransport(url: string, ca?: string): Transport {
  const http = new HttpClient(url, { ca });
  return {
    send: async (request) => {
      try {
        const { status, headers, body } = await http.send(request);
        return { status, headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value])), body };
      } catch (error) {
        throw new NoAnswer(reasonOf(error), isUnsent(error), error, isCertificateRefused(error));
      }
    },
    close: () => http.close(),
  };
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'the connection broke off',
  EPROTO: 'it does not speak TLS',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted; give it with --ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted; give it with --ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted; give it with --ca',
};

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  const text = (code === undefined ? undefined : REASONS[code]) ?? (error instanceof Error && error.message !== '' ? error.message : (code ?? String(error)));
  return text.replace(/\.$/, '').replace(/^No answer/, 'no answer');
}
