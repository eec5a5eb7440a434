// Calls of AWS services without a client of the SDK: beside the SDK's own where it has one, and by what can go wrong.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { invokeLater, LambdaPeer } from '../../src/adapters/aws/lambda-peer.ts';
import { readSecrets } from '../../src/adapters/aws/parameters.ts';
import { SignedCalls } from '../../src/adapters/aws/signed-calls.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { asRegionId } from '../../src/core/version/dot.ts';

const REGION = asRegionId('eu-central-1');
const ARN = 'arn:aws:lambda:eu-central-1:123456789012:function:archipel-peer-eu-central-1';
const CREDENTIALS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'session' };

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let server: Server;
let asked: Asked[];
let answer: (response: ServerResponse, at: number) => void;

beforeEach(async () => {
  asked = [];
  answer = (response) => void response.end('{}');
  server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      asked.push({ method: incoming.method, url: incoming.url, headers: incoming.headers, body: Buffer.concat(chunks).toString() });
      answer(outgoing, asked.length);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const endpoint = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const calls = (service: string): SignedCalls => new SignedCalls({ service, region: REGION, endpoint: endpoint(), credentials: async () => CREDENTIALS, connectionMs: 1_000, attemptMs: 5_000 });
const peer = (): LambdaPeer => new LambdaPeer(REGION, { lambda: calls('lambda'), functionArn: ARN });
const failing = (status: number, type: string, headers: Record<string, string> = {}) => (response: ServerResponse): void => void response.writeHead(status, headers).end(JSON.stringify({ __type: `com.amazonaws.service#${type}`, message: 'No.' }));
/** Without the signature itself: the SDK signs more fields. */
const scopeOf = (headers: IncomingHttpHeaders): string | undefined => /Credential=([^,]+)/.exec(headers.authorization ?? '')?.[1];

describe('signed calls', () => {
  it('an invocation -> what the client of the SDK sends, under the same scope', async () => {
    const client = new LambdaClient({ region: REGION, endpoint: endpoint(), credentials: CREDENTIALS, maxAttempts: 1 });
    const Payload = utf8(JSON.stringify({ method: 'hello', question: 'AQI=' }));
    await client.send(new InvokeCommand({ FunctionName: ARN, Payload }));
    await client.send(new InvokeCommand({ FunctionName: ARN, Payload, InvocationType: 'Event' }));
    answer = (response, at) => void response.writeHead(at === 3 ? 200 : 202).end(JSON.stringify({ answer: 'AwQ=' }));
    expect(await peer().ask('hello', Uint8Array.of(1, 2), 5_000)).toEqual(Uint8Array.of(3, 4));
    await invokeLater(calls('lambda'), ARN, { method: 'hello', question: 'AQI=' });
    const [theirs, theirsLater, ours, oursLater] = asked.map(({ method, url, body, headers }) => ({ method, url, body, scope: scopeOf(headers), token: headers['x-amz-security-token'], length: headers['content-length'] }));
    expect(ours).toEqual(theirs);
    expect(oursLater).toEqual(theirsLater);
    expect(asked.map(({ headers }) => headers['x-amz-invocation-type'])).toEqual([undefined, 'Event', 'RequestResponse', 'Event']);
    expect(ours?.scope).toMatch(/^AKIDEXAMPLE\/\d{8}\/eu-central-1\/lambda\/aws4_request$/);
    expect(ours?.token).toBe('session');
  });

  it.each([
    ['the function failed', (response: ServerResponse) => void response.writeHead(200, { 'x-amz-function-error': 'Unhandled' }).end('{"answer":"AwQ="}'), 'Unhandled'],
    ['it is throttled', failing(429, 'TooManyRequestsException'), 'TooManyRequestsException'],
    ['it may not be called', failing(403, 'Denied', { 'x-amzn-errortype': 'AccessDeniedException:http://internal' }), 'AccessDeniedException'],
    ['it says nothing that is known', (response: ServerResponse) => void response.writeHead(502).end('<html>'), 'status 502'],
  ])('%s -> out of reach, and the cause says why', async (_, answered, why) => {
    answer = answered;
    const error = await peer().ask('hello', Uint8Array.of(1), 5_000).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'peer-unreachable' });
    expect(String((error as Error).cause)).toContain(why);
    expect(asked).toHaveLength(1);
  });

  it.each([
    ['nothing', () => undefined],
    ['half an answer', (response: ServerResponse) => void response.writeHead(200, { 'content-length': '100' }).write('{"answer"')],
  ])('%s until the deadline -> out of reach', async (_, answered) => {
    answer = answered;
    await expect(peer().ask('hello', Uint8Array.of(1), 50)).rejects.toMatchObject({ code: 'peer-unreachable' });
  });

  it('given up while half an answer is there -> not waited for, which says nothing about the peer', async () => {
    const one = peer();
    answer = (response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"answer"');
      setImmediate(() => one.abandon());
    };
    await expect(one.ask('hello', Uint8Array.of(1), 60_000)).rejects.toMatchObject({ code: 'peer-refused', details: { reason: 'abandoned' } });
  });
});

describe('secrets', () => {
  const found = (response: ServerResponse): void => void response.end(JSON.stringify({ Parameters: [{ Name: '/b', Value: 'second' }, { Name: '/a', Value: 'first' }] }));

  it('in the order of the names, decrypted, by one call', async () => {
    answer = found;
    expect(await readSecrets(calls('ssm'), ['/a', '/b'])).toEqual(['first', 'second']);
    expect(asked).toMatchObject([{ url: '/', body: '{"Names":["/a","/b"],"WithDecryption":true}', headers: { 'x-amz-target': 'AmazonSSM.GetParameters' } }]);
    expect(scopeOf(asked[0]?.headers ?? {})).toContain('/ssm/');
  });

  it('throttled, failed, cut -> asked again', async () => {
    const faults = [failing(400, 'ThrottlingException'), failing(500, 'InternalServerError'), (response: ServerResponse): void => void response.destroy()];
    answer = (response, at) => (faults[at - 1] ?? found)(response);
    expect(await readSecrets(calls('ssm'), ['/a'])).toEqual(['first']);
    expect(asked).toHaveLength(4);
  });

  it('throttled for ever -> given up after five, and it says why', async () => {
    answer = failing(400, 'ThrottlingException');
    await expect(readSecrets(calls('ssm'), ['/a'])).rejects.toMatchObject({ code: 'storage-unavailable', details: { error: 'ThrottlingException' } });
    expect(asked).toHaveLength(5);
  });

  it('refused, or not there -> said at once', async () => {
    answer = failing(400, 'AccessDeniedException');
    await expect(readSecrets(calls('ssm'), ['/a'])).rejects.toMatchObject({ code: 'storage-unavailable', details: { error: 'AccessDeniedException' } });
    answer = found;
    await expect(readSecrets(calls('ssm'), ['/c'])).rejects.toThrow('There is no parameter /c');
    expect(asked).toHaveLength(2);
  });
});
