// Calls of an AWS service by signed HTTP, for the services of which one operation is used: a client of the SDK brings the
// schemas and errors of all its operations, 65 to 80 KB in every bundle that holds it. Signature and connection are the SDK's own.

import { addAbortSignal, type Readable } from 'node:stream';
import { Sha256 } from '@smithy/core/checksum';
import { HttpRequest } from '@smithy/core/protocols';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SignatureV4 } from '@smithy/signature-v4';
import type { DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';

export interface SignedCallsParts {
  /** As the signature names it: `lambda`. */
  readonly service: string;
  readonly region: string;
  readonly endpoint: string;
  readonly credentials: Extract<DynamoDBClientConfig['credentials'], () => unknown>;
  readonly connectionMs: number;
  /** For a call that brings no deadline of its own. */
  readonly attemptMs: number;
}

export interface SignedCall {
  /** Encoded. */
  readonly path: string;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly signal?: AbortSignal;
}

export interface ServiceAnswer {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export class SignedCalls {
  readonly #url: URL;
  readonly #signer: SignatureV4;
  readonly #handler: NodeHttpHandler;
  readonly #attemptMs: number;

  constructor({ service, region, endpoint, credentials, connectionMs, attemptMs }: SignedCallsParts) {
    this.#url = new URL(endpoint);
    this.#signer = new SignatureV4({ service, region, credentials, sha256: Sha256 });
    this.#attemptMs = attemptMs;
    this.#handler = new NodeHttpHandler({ connectionTimeout: connectionMs });
  }

  /** Whatever the service answers, errors too. @throws what a connection fails with, and what the signal was given up for */
  async post({ path, headers, body, signal = AbortSignal.timeout(this.#attemptMs) }: SignedCall): Promise<ServiceAnswer> {
    const { protocol, hostname, port, host } = this.#url;
    const request = new HttpRequest({ method: 'POST', protocol, hostname, ...(port === '' ? {} : { port: Number(port) }), path, headers: { host, 'content-length': String(body.length), ...headers }, body });
    const signed = await this.#signer.sign(request);
    const { response } = await this.#handler.handle(new HttpRequest(signed), { abortSignal: signal });
    const chunks: Uint8Array[] = [];
    for await (const chunk of addAbortSignal(signal, response.body as Readable)) chunks.push(chunk as Uint8Array);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
  }
}

/** The error that an answer in JSON names: `com.amazonaws…#ThrottlingException:…`. */
export function errorIn({ status, headers, body }: ServiceAnswer): string {
  const named = headers['x-amzn-errortype'] ?? Buffer.from(body).toString();
  return /#?(\w+(?:Exception|Error))\b/.exec(named)?.[1] ?? `status ${status}`;
}
