// A small CloudFront: turns each request into an origin-request event, as the deployed distribution says (the version of
// the function, the fields that it adds), invokes that function and passes its answer on. Nothing is cached, as there.
// And a door for each region: its function URL, which on AWS has a host name of its own, here a port.

import { createServer, request as httpRequest, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { InvokeCommand, LambdaClient, type InvokeCommandOutput } from '@aws-sdk/client-lambda';
import type { CloudFrontHeaders, CloudFrontRequestEvent, CloudFrontResultResponse } from 'aws-lambda';
import { REGIONS_FIELD } from '../../src/adapters/aws/names.ts';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { bytesOf } from '../lib/functions-place.ts';
import { ROOT, signedFor } from './ministack.ts';

/** CloudFront cuts what it shows to a function after this much. */
const BODY_BYTES_MAX = 1024 * 1024;
/** As Lambda ends a function of an origin request, at the latest: one that hangs would keep its place for good. */
const FUNCTION_MS_MAX = 30_000;
/** Hop by hop: between two servers, not between viewer and origin. */
const HOPS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

export interface Distribution {
  readonly functionArn: string;
  readonly customHeaders: Readonly<Record<string, string>>;
}

/** The only one there is. */
export async function deployedDistribution(emulatorUrl: string): Promise<Distribution> {
  const read = async (path: string): Promise<string> => (await fetch(`${emulatorUrl}/2020-05-31/distribution${path}`, { headers: signedFor('cloudfront', 'us-east-1') })).text();
  const id = /<Id>([A-Z0-9]+)<\/Id>/.exec(await read(''))?.[1] ?? '';
  const config = await read(`/${id}/config`);
  const functionArn = /<LambdaFunctionARN>([^<]+)<\/LambdaFunctionARN>/.exec(config)?.[1];
  if (functionArn === undefined) throw new Error(`The distribution has no function:\n${config}`);
  const customHeaders = Object.fromEntries([...config.matchAll(/<HeaderName>([^<]+)<\/HeaderName>\s*<HeaderValue>([^<]+)<\/HeaderValue>/g)].map(([, name, value]) => [name as string, value as string]));
  return { functionArn, customHeaders };
}

export interface FrontParts {
  readonly emulatorUrl: string;
  readonly distribution: Distribution;
  /** Where each region's host name is reached on this machine. */
  readonly doors: ReadonlyMap<string, string>;
  /** Fields that CloudFront adds of whoever asks; without them the edge takes its own region for the place. */
  readonly viewer?: Readonly<Record<string, string>>;
  /** Requests under way, at most; what is more is refused, as where an account's concurrency is used up. */
  readonly atOnce?: number;
}

export function startFront(port: number, { emulatorUrl, distribution, doors, viewer = {}, atOnce = Number.POSITIVE_INFINITY }: FrontParts): Promise<Server> {
  const client = new LambdaClient({ ...CLIENT_SETTINGS, endpoint: emulatorUrl, region: 'us-east-1', credentials: ROOT });
  const regions = (distribution.customHeaders[REGIONS_FIELD] ?? '').replaceAll(/=([^,]+)/g, (_, host: string) => `=${doors.get(host) ?? host}`);
  const customHeaders = { ...distribution.customHeaders, [REGIONS_FIELD]: regions };
  const invoke = (event: CloudFrontRequestEvent): Promise<InvokeCommandOutput> => client.send(new InvokeCommand({ FunctionName: distribution.functionArn, Payload: JSON.stringify(event) }), { abortSignal: AbortSignal.timeout(FUNCTION_MS_MAX) });
  const refused: Refusal = { status: 503, fields: { 'content-type': 'text/plain' }, body: 'no more at once\n' };
  return listen(port, atMost(atOnce, refused, async (incoming, outgoing, body) => {
    const { Payload, FunctionError } = await invoke(eventOf(incoming, body, customHeaders, viewer));
    const answer = JSON.parse(Buffer.from(Payload ?? []).toString() || 'null') as CloudFrontResultResponse | null;
    // What is no answer would be a request to pass on to an origin: this function answers in the origin's place, always.
    if (FunctionError !== undefined || answer?.status === undefined) throw new Error(`The edge's function failed: ${JSON.stringify(answer)}`);
    const fields = Object.values(answer.headers ?? {}).flatMap((values) => values.map(({ key = '', value }) => [key, value] as const));
    const shown = Buffer.from(answer.body ?? '', answer.bodyEncoding === 'base64' ? 'base64' : 'utf8');
    outgoing.writeHead(Number(answer.status), [...fields, ['x-cache', 'LambdaGeneratedResponse from cloudfront'] as const].flat());
    outgoing.end(incoming.method === 'HEAD' ? undefined : shown);
  }));
}

function eventOf(incoming: IncomingMessage, body: Buffer, customHeaders: Readonly<Record<string, string>>, viewer: Readonly<Record<string, string>>): CloudFrontRequestEvent {
  const [uri = '/', ...query] = (incoming.url ?? '/').split('?');
  const shown = body.subarray(0, BODY_BYTES_MAX);
  const inputTruncated = shown.length < body.length;
  return {
    Records: [
      {
        cf: {
          config: { distributionDomainName: 'localhost', distributionId: 'LOCAL', eventType: 'origin-request', requestId: crypto.randomUUID() },
          request: {
            clientIp: incoming.socket.remoteAddress ?? '127.0.0.1',
            method: incoming.method ?? 'GET',
            uri,
            querystring: query.join('?'),
            headers: { ...fieldsOf(incoming.rawHeaders), ...headersOf(viewer) },
            body: { action: 'read-only', data: shown.toString('base64'), encoding: 'base64', inputTruncated },
            origin: { custom: { customHeaders: headersOf(customHeaders), domainName: 'localhost', keepaliveTimeout: 5, path: '', port: 443, protocol: 'https', readTimeout: 30, sslProtocols: ['TLSv1.2'] } },
          },
        },
      },
    ],
  };
}

const headersOf = (fields: Readonly<Record<string, string>>): CloudFrontHeaders => Object.fromEntries(Object.entries(fields).map(([key, value]) => [key.toLowerCase(), [{ key, value }]]));

function fieldsOf(raw: readonly string[]): CloudFrontHeaders {
  const headers: CloudFrontHeaders = {};
  for (let at = 0; at < raw.length; at += 2) {
    const [key = '', value = ''] = raw.slice(at, at + 2);
    const name = key.toLowerCase();
    if (!HOPS.has(name)) (headers[name] ??= []).push({ key, value });
  }
  return headers;
}

/** What is wrong with the way to a region. Each request is passed on twice, and of every third the answer is lost. */
export interface Links {
  areHostile: boolean;
}

const LOST_EVERY = 3;

/** The emulator tells function URLs apart by the field Host. `atOnce`: more is refused as Lambda does where a function may have no more environments. */
export function startDoor(port: number, emulatorUrl: string, { host, links, atOnce = Number.POSITIVE_INFINITY }: { readonly host: string; readonly links: Links; readonly atOnce?: number }): Promise<Server> {
  const { hostname, port: emulatorPort } = new URL(emulatorUrl);
  let passedOn = 0;
  const refused: Refusal = { status: 429, fields: { 'content-type': 'application/json', 'x-amzn-errortype': 'TooManyRequestsException' }, body: '{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}' };
  return listen(port, atMost(atOnce, refused, async (incoming, outgoing, body) => {
    const headers = [...incoming.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 && !HOPS.has(name.toLowerCase()) && !/^(?:host|content-length)$/i.test(name) ? [name, all[at + 1] ?? ''] : [])), 'Host', host];
    const length = body.length > 0 || incoming.headers['content-length'] !== undefined ? ['Content-Length', String(body.length)] : [];
    const pass = (take: (answer: IncomingMessage) => void): Promise<void> =>
      new Promise<void>((resolve, reject) => {
        const passed = httpRequest({ hostname, port: emulatorPort, method: incoming.method, path: incoming.url, headers: [...headers, ...length] as never }, (answer) => {
          take(answer);
          answer.once('end', resolve);
          answer.once('error', reject);
        });
        passed.once('error', reject);
        passed.end(body);
      });
    if (links.areHostile) {
      await pass((answer) => answer.resume());
      if (++passedOn % LOST_EVERY === 0) return void incoming.socket.destroy();
    }
    await pass((answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
  }));
}

interface Refusal {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer) => Promise<void>;

/** Handles so many requests at a time, from when they have arrived whole; what is more is refused. */
function atMost(most: number, { status, fields, body: why }: Refusal, handle: Handle): Handle {
  let underWay = 0;
  return async (incoming, outgoing, body) => {
    if (underWay >= most) return void outgoing.writeHead(status, fields).end(why);
    underWay++;
    try {
      await handle(incoming, outgoing, body);
    } finally {
      underWay--;
    }
  };
}

function listen(port: number, handle: Handle): Promise<Server> {
  const answer: RequestListener = (incoming, outgoing) => {
    const handled = bytesOf(incoming).then((body) => handle(incoming, outgoing, body));
    handled.catch((error: unknown) => {
      if (outgoing.headersSent) return outgoing.destroy();
      outgoing.writeHead(502, { 'content-type': 'text/plain' });
      outgoing.end(`${String(error)}\n`);
    });
  };
  return new Promise((resolve, reject) => {
    const server = createServer(answer);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
