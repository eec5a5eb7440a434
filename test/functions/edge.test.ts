// The function at the edge, called with recorded origin-request events, before fake regions.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloudFrontRequest, CloudFrontRequestEvent, CloudFrontResultResponse } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { handler as written } from '../../functions/edge.ts';
import { ANSWER_BYTES_MAX } from '../../functions/commons/origin-request.ts';
import { Bundles } from './code.ts';

const fixture = (): CloudFrontRequestEvent => JSON.parse(readFileSync(new URL('fixtures/origin-request-put.json', import.meta.url), 'utf8')) as CloudFrontRequestEvent;

interface Seen {
  readonly region: string;
  readonly line: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

describe.each(['sources', 'bundles'] as const)('edge, from %s', (code) => {
  let handler: typeof written;
  let bundles: Bundles | undefined;
  beforeAll(async () => {
    bundles = code === 'bundles' ? await Bundles.make(['edge']) : undefined;
    handler = bundles?.edge() ?? written;
  }, 120_000);
  afterAll(() => bundles?.remove());
  const servers: Server[] = [];
  let seen: Seen[];
  let answer: { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

  beforeEach(() => {
    seen = [];
    answer = { status: 201, headers: { 'write-outcome': 'stored' }, body: '' };
    vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  async function region(id: string, status?: number): Promise<string> {
    const server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        seen.push({ region: id, line: `${incoming.method} ${incoming.url}`, headers: incoming.headers, body: Buffer.concat(chunks) });
        // The edge asks for the placement of a collection; these regions leave it open, so it goes by distance alone.
        if (incoming.method === 'GET' && incoming.url === '/v1/c/demo') outgoing.writeHead(403, { 'content-type': 'application/problem+json' }).end();
        else outgoing.writeHead(status ?? answer.status, { 'x-amzn-requestid': '1', 'x-amzn-trace-id': 'Root=1', ...answer.headers }).end(answer.body);
      });
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `${id}=http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function invoke(regions: readonly string[], change: Partial<CloudFrontRequest> = {}): Promise<CloudFrontResultResponse> {
    const event = fixture();
    const [record] = event.Records;
    if (record === undefined) throw new TypeError('no record');
    const request = { ...record.cf.request, ...change };
    const field = request.origin?.custom?.customHeaders['archipel-regions']?.[0];
    if (field !== undefined) field.value = regions.join(',');
    return handler({ Records: [{ cf: { ...record.cf, request } }] });
  }

  const requests = (): Seen[] => seen.filter(({ line }) => line !== 'GET /v1/c/demo');

  it('sends a PUT to the region nearest to the viewer, byte for byte, with an operation id', async () => {
    const result = await invoke([await region('us-east-1'), await region('eu-central-1')]);
    expect(requests().map(({ region: id, line }) => `${id} ${line}`)).toEqual(['eu-central-1 PUT /v1/c/demo/items/caf%C3%A9%2Fmenu']); // the viewer is in Paris
    expect(requests()[0]?.body.toString('base64')).toBe('AP/+gHp4Cg==');
    expect(requests()[0]?.headers).toMatchObject({ authorization: expect.stringMatching(/^Bearer/) as string, 'idempotency-key': expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
    expect(requests()[0]?.headers['host']).toMatch(/^127/);
    expect(result).toMatchObject({ status: '201', headers: { 'write-outcome': [{ key: 'write-outcome', value: 'stored' }] } });
  });

  it('says to the region which path it sent, whoever said another before', async () => {
    await invoke([await region('eu-central-1')], { uri: '/v1/c/demo/items/a%2Fb', querystring: 'lat=1', headers: { ...fixture().Records[0]?.cf.request.headers, 'path-as-sent': [{ key: 'Path-As-Sent', value: '/v1/c/demo/items/a%2Fb' }] } });
    expect(requests()[0]?.headers['path-as-sent']).toBe('/v1/c/demo/items/a%2Fb');
    const changed = await invoke([await region('eu-central-1')], { uri: '/v1/c/demo/items/a/b', headers: { 'path-as-sent': [{ key: 'Path-As-Sent', value: '/v1/c/demo/items/a%2Fb' }] } });
    expect([changed.status, requests()]).toEqual(['400', [expect.anything()]]);
  });

  it('answers with the next region when the nearest fails, the same write under the same id', async () => {
    const result = await invoke([await region('us-east-1'), await region('eu-central-1', 503)]);
    expect(result.status).toBe('201');
    expect(requests().map(({ region: id }) => id)).toEqual(['eu-central-1', 'us-east-1']);
    expect(new Set(requests().map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  it('Lambda has no environment left for the nearest -> the next region writes', async () => {
    const result = await invoke([await region('us-east-1'), await region('eu-central-1', 429)]);
    expect([result.status, requests().map(({ region: id }) => id)]).toEqual(['201', ['eu-central-1', 'us-east-1']]);
  });

  it.each([
    [429, 'no-region-available', 'before the function runs, so nothing is written'],
    [502, 'write-outcome-unknown', 'when the function ended badly, perhaps behind its commit'],
  ])('Lambda answers %i in the place of every region -> %s: %s', async (status, code) => {
    const result = await invoke([await region('us-east-1', status), await region('eu-central-1', status)]);
    expect(JSON.parse(Buffer.from(result.body ?? '', 'base64').toString())).toMatchObject({ type: expect.stringContaining(code) as string });
  });

  it('passes no field on that CloudFront keeps for itself', async () => {
    answer = { status: 200, headers: { etag: '"x"', via: '1.1 region', connection: 'close', 'x-cache': 'Hit', 'x-edge-location': 'ICN', 'content-type': 'text/plain' }, body: 'hello' };
    const result = await invoke([await region('eu-central-1')], { method: 'GET', querystring: 'lat=1', body: undefined });
    expect(Object.keys(result.headers ?? {}).filter((name) => /^(via|connection|content-length|transfer-encoding|x-)/.test(name))).toEqual([]);
    expect(result).toMatchObject({ status: '200', body: Buffer.from('hello').toString('base64'), bodyEncoding: 'base64', headers: { etag: [{ value: '"x"' }] } });
    expect(requests()[0]?.line).toBe('GET /v1/c/demo/items/caf%C3%A9%2Fmenu?lat=1');
  });

  it('gives no body with 204', async () => {
    answer = { status: 204, headers: {}, body: '' };
    const result = await invoke([await region('eu-central-1')]);
    expect([result.status, result.body, result.bodyEncoding]).toEqual(['204', undefined, undefined]);
  });

  it('refuses a body that CloudFront has cut', async () => {
    const result = await invoke([await region('eu-central-1')], { body: { inputTruncated: true, action: 'read-only', encoding: 'base64', data: 'AAAA' } });
    expect(result.status).toBe('413');
    expect(seen).toEqual([]);
  });

  it('refuses to pass on an answer that CloudFront would not', async () => {
    answer = { status: 200, headers: {}, body: 'x'.repeat(ANSWER_BYTES_MAX) };
    const result = await invoke([await region('eu-central-1')], { method: 'GET', body: undefined });
    expect(result.status).toBe('413');
  });

  it('serves viewers without a place: the first region', async () => {
    const { 'cloudfront-viewer-latitude': _lat, 'cloudfront-viewer-longitude': _lon, ...headers } = fixture().Records[0]?.cf.request.headers ?? {};
    await invoke([await region('us-east-1'), await region('eu-central-1')], { headers });
    expect(requests()[0]?.region).toBe('us-east-1');
  });

  it.each([['TRACE', '405'], ['CONNECT', '405']])('answers %s with %s', async (method, status) => {
    expect((await invoke([await region('eu-central-1')], { method, body: undefined })).status).toBe(status);
  });

  it('says so when the distribution names no region', async () => {
    expect((await invoke([])).status).toBe('500');
  });
});
