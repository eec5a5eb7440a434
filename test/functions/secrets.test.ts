// No secret is logged or answered: not the deployment's, nor a key that is derived from it, nor the admin key, nor what a client
// sends as Authorization; by no function, whatever fails.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloudFrontRequestEvent, DynamoDBStreamEvent, LambdaFunctionURLEvent } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PeerEvent } from '../../src/adapters/aws/lambda-peer.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { deriveKey } from '../../src/adapters/node/crypto.ts';
import { JsonLog } from '../../src/adapters/node/log.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { handler as edge } from '../../functions/edge.ts';
import { FRESH_MS } from '../../functions/commons/mirror.ts';
import { hasDynoxide, NO_DYNOXIDE } from '../contract/emulators.ts';
import { AP, EU, US } from '../contract/make.ts';
import { DEPLOYMENT, FakeAws } from './fake-aws.ts';
import { leaksIn, Said, type Secret } from './said.ts';

const fixture = <T>(name: string): T => JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')) as T;

const SECRET = '7f3ac05e9d1b4826e0c7a95f13bd684207fe9a3c5d81b6e24f90ca7b38d5e16d';
const ADMIN = 'Qv8mXz2LrT6yWk4NcHs9PbJd';
const ADMIN_KEY = `ak_root_${ADMIN}`;
const STRANGER = 'gR3uKf7VhZ1oEw5XtMq0YaLn';
const PASSWORD = 'hunter:Bn6Jx9Cw3Ds8Fv2Gt5';

/** What is derived is found where it is derived. */
const purposes = ['functions/commons/app.ts', 'functions/commons/region.ts', 'src/local/region.ts', 'src/local/observer.ts'].flatMap((file) => [...readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8').matchAll(/deriveKey\(.*?, '(\w+)'\)/g)].map(([, purpose = '']) => purpose));

const SECRETS: Secret[] = [
  { what: 'the secret', value: SECRET },
  { what: 'the admin key', value: ADMIN },
  { what: 'a key that opens nothing', value: STRANGER },
  { what: 'a password', value: PASSWORD },
  ...[...new Set(purposes)].map((purpose) => ({ what: `the key of ${purpose}`, value: deriveKey(utf8(SECRET), purpose) })),
];

const AS_ADMIN = `Bearer ${ADMIN_KEY}`;
const REFUSED = [`Bearer ak_nobody_${STRANGER}`, `Bearer ${STRANGER}`, `bearer  ${ADMIN_KEY} `, `Bearer ${ADMIN_KEY}x`, `Basic ${Buffer.from(PASSWORD).toString('base64')}`, `Bearer {"${SECRET}`, `${ADMIN_KEY}`, `Bearer ${SECRET}`];

describe('what is looked for', () => {
  it('is every key that is derived', () => {
    expect([...new Set(purposes)].sort()).toEqual(['context', 'digest', 'observer', 'signature']);
  });

  it.each(SECRETS)('is found in a log: $what', (secret) => {
    for (const shown of [secret.value, Buffer.from(secret.value).toString('base64'), Buffer.from(secret.value).toString('hex'), new Uint8Array(Buffer.from(secret.value))]) {
      const said = new Said();
      said.start();
      try {
        if (typeof shown === 'string') new JsonLog({}).write('error', 'http.failed', { error: `… ${shown.slice(3, 12)}` });
        else for (const say of [(): void => console.error({ shown }), (): void => new JsonLog({}).write('error', 'http.failed', { shown })]) say();
      } finally {
        said.stop();
      }
      expect(leaksIn(said.lines, [secret])).not.toEqual([]);
    }
  });
});

if (!hasDynoxide) console.log(`secrets: skipped, ${NO_DYNOXIDE}`);

describe.skipIf(!hasDynoxide)('functions of a region say no secret', () => {
  let aws: FakeAws;
  const said = new Said();
  beforeAll(async () => {
    aws = await FakeAws.start();
    aws.parameters.set(names.secret(DEPLOYMENT), SECRET);
    aws.parameters.set(names.adminKey(DEPLOYMENT), ADMIN_KEY);
    for (const region of [AP, EU, US]) await aws.region(region);
    for (const [name, spec] of [['demo', { conflict: 'siblings' }], ['far', { conflict: 'lww', regions: [US], replicas: 1 }]] as const) expect((await api({ method: 'PUT', path: `/v1/c/${name}`, body: JSON.stringify(spec) })).statusCode).toBe(201);
  }, 30_000);
  afterAll(() => aws.stop());
  beforeEach(() => {
    said.lines.length = 0;
    said.start();
  });
  afterEach(() => {
    said.stop();
    aws.tables.fault = () => undefined;
    aws.parameterFault = () => undefined;
    aws.down.clear();
  });

  interface Call {
    readonly method?: string;
    readonly path?: string;
    readonly body?: string;
    readonly authorization?: string;
    readonly more?: Readonly<Record<string, string>>;
    readonly region?: RegionId;
  }

  async function api({ method = 'GET', path = '/v1/c/demo/items/a', body, authorization = AS_ADMIN, more = {}, region = EU }: Call): ReturnType<Awaited<ReturnType<FakeAws['region']>>['api']> {
    const event = fixture<LambdaFunctionURLEvent>('url-get');
    const content = body === undefined ? {} : { body: Buffer.from(body).toString('base64'), isBase64Encoded: true };
    const [rawPath = '', rawQueryString = ''] = path.split('?');
    return (await aws.region(region)).api({ ...event, ...content, rawPath, rawQueryString, headers: { ...event.headers, 'content-type': 'application/json', authorization, ...more }, requestContext: { ...event.requestContext, http: { ...event.requestContext.http, method } } });
  }

  /** Something was said: whoever is silent keeps every secret. */
  function saidNothingSecret(more: readonly Secret[] = []): void {
    said.stop();
    expect(said.lines.length).toBeGreaterThan(0);
    expect(leaksIn([...said.lines, ...aws.logged.map((line) => JSON.stringify(line))], [...SECRETS, ...more])).toEqual([]);
  }

  const CALLS: readonly Call[] = [
    { method: 'PUT', body: '{"n":1}' },
    {},
    { method: 'PUT', body: '{"n":', more: { 'content-type': 'application/json' } },
    { method: 'PUT', body: 'x'.repeat(20_000) },
    { method: 'PUT', body: '1', more: { 'if-match': '"nothing"' } },
    { method: 'PUT', body: '1', more: { context: 'AAAA' } },
    { method: 'PUT', body: '1', more: { 'idempotency-key': ADMIN_KEY } },
    { method: 'DELETE' },
    { path: '/v1/c/none/items/a' },
    { path: '/v1/c/demo/items/../a' },
    { path: '/v1/nothing' },
    { path: '/v1/topology' },
    { path: '/v1/keys' },
    { method: 'POST', path: '/v1/keys', body: '{"scopes":["everything"]}' },
    { method: 'POST', path: '/v1/reconcile', body: '{}' },
    { method: 'POST', path: '/v1/c/demo/batch', body: '{"operations":[]}' },
    { path: '/v1/c/far/items/a' },
    { method: 'PUT', path: '/v1/c/far/items/a', body: '1' },
    { method: 'PUT', body: '1', more: { 'replicate-to': '2' } },
  ];

  it.each([AS_ADMIN, ...REFUSED])('api, asked with: %s', async (authorization) => {
    for (const call of CALLS) await said.of(api({ ...call, authorization }));
    saidNothingSecret();
  });

  it('api, with keys that are made, used for what they are not good for, and revoked', async () => {
    const made = await api({ method: 'POST', path: '/v1/keys', body: JSON.stringify({ scopes: ['read'], collections: ['demo'] }) });
    const { id, key } = JSON.parse(Buffer.from(made.body ?? '', 'base64').toString()) as { id: string; key: string };
    for (const call of CALLS) await said.of(api({ ...call, authorization: `Bearer ${key}` }));
    await said.of(api({ path: '/v1/keys' }));
    await said.of(api({ method: 'DELETE', path: `/v1/keys/${id}` }));
    aws.pass(FRESH_MS);
    for (const call of CALLS) await said.of(api({ ...call, authorization: `Bearer ${key}` }));
    saidNothingSecret([{ what: 'a client’s key', value: key.slice(`ak_${id}_`.length) }]);
  });

  it.each(['InternalServerError', 'AccessDeniedException', 'ValidationException', 'UnrecognizedClientException'])('every function, while the table answers %s', async (type) => {
    await aws.region(US);
    aws.tables.fault = () => ({ type, status: type === 'InternalServerError' ? 500 : 400 });
    for (const call of [...CALLS, { method: 'POST', path: '/v1/keys', body: '{"scopes":["read"],"collections":["*"]}' }]) await said.of(api(call));
    await everyFunction(EU);
    saidNothingSecret();
  }, 120_000);

  it('api and peer, while the region that holds the item cannot be asked, or cannot answer', async () => {
    const far: readonly Call[] = [{ path: '/v1/c/far/items/b' }, { method: 'PUT', path: '/v1/c/far/items/b', body: '1' }];
    aws.down.add(US);
    for (const authorization of [AS_ADMIN, ...REFUSED]) for (const call of far) await said.of(api({ ...call, authorization }));
    aws.down.delete(US);
    aws.pass(60_000); // the breaker opens again
    aws.tables.fault = (_, input) => (input['TableName'] === names.table(DEPLOYMENT, US) ? { type: 'ValidationException' } : undefined);
    for (const authorization of [AS_ADMIN, ...REFUSED]) for (const call of far) await said.of(api({ ...call, authorization }));
    saidNothingSecret();
  }, 120_000);

  it('every function, while no other region answers', async () => {
    for (const region of [AP, US]) aws.down.add(region);
    for (const call of CALLS) await said.of(api(call));
    await everyFunction(EU);
    saidNothingSecret();
  }, 120_000);

  const stored = `{"Parameters":[{"Name":"${names.secret(DEPLOYMENT)}","Type":"SecureString","Value":"${SECRET}"},{"Name":"${names.adminKey(DEPLOYMENT)}","Value":"${ADMIN_KEY}"}]}`;

  it.each([
    ['nobody may read it', { status: 400, text: '{"__type":"AccessDeniedException","message":"no"}' }],
    ['there is none', { status: 200, text: '{"Parameters":[],"InvalidParameters":["all"]}' }],
    ['the answer is cut', { status: 200, text: stored.slice(0, -90) }],
    ['the answer is no JSON behind it', { status: 200, text: stored.replace(`${SECRET}"`, `${SECRET}"x`) }],
    ['the answer has it without its quotes', { status: 200, text: stored.replace(`"${SECRET}"`, SECRET) }],
    ['the answer is it', { status: 200, text: SECRET }],
    ['the answer is the admin key', { status: 200, text: ADMIN }],
    ['the admin key is none', { status: 200, text: stored.replace('ak_root_', 'ak-root-') }],
    ['the answer is another one', { status: 200, text: `{"Parameters":"${SECRET}"}` }],
    ['the store repeats it in an error', { status: 400, text: `{"__type":"ValidationException","message":"${SECRET}"}` }],
  ])('an environment begins, and of the secret: %s', async (_, fault) => {
    aws.endEnvironments(EU);
    aws.parameterFault = () => fault;
    await said.of(api({}));
    await everyFunction(EU);
    aws.endEnvironments(EU);
    saidNothingSecret();
  }, 120_000);

  /** With what they take, and with what is none of it. */
  async function everyFunction(region: RegionId): Promise<void> {
    const { peer, fanOut, apply, forward, reconcile, heartbeat } = await aws.region(region);
    const stream = fixture<DynamoDBStreamEvent>('stream-batch');
    const broken = { ...stream, Records: stream.Records.map((record) => ({ ...record, dynamodb: { ...record.dynamodb, NewImage: {} } })) };
    const question = fixture<PeerEvent>('peer-merge');
    for (const work of [
      () => peer(question),
      () => peer({ ...question, method: 'forward' }),
      () => peer({ ...question, question: Buffer.from(SECRET).toString('base64') }),
      () => peer({ ...question, question: ADMIN_KEY }),
      () => fanOut(stream),
      () => fanOut(broken),
      () => apply(fixture('inbox-batch')),
      () => forward(fixture('hints-batch')),
      () => reconcile({ what: 'tidy' }),
      () => reconcile({ what: 'deep' }),
      () => reconcile({ what: 'reap' }),
      () => heartbeat(),
    ]) await said.of(work());
  }
});

describe('the edge says no secret', () => {
  const said = new Said();
  const servers: Server[] = [];
  beforeEach(() => said.start());
  afterEach(() => {
    said.stop();
    vi.restoreAllMocks();
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  /** Answers with all that it was sent. */
  async function region(id: string, status: number, type: string): Promise<string> {
    const server = createServer((incoming, outgoing) => outgoing.writeHead(status, { 'content-type': type }).end(JSON.stringify(incoming.headers)));
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return `${id}=http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  const NOBODY = 'eu-central-1=http://127.0.0.1:1';

  async function ask(regions: string, authorization: string): Promise<void> {
    const event = fixture<CloudFrontRequestEvent>('origin-request-put');
    const [record] = event.Records;
    const { request } = record?.cf ?? {};
    const field = request?.origin?.custom?.customHeaders['archipel-regions']?.[0];
    if (request === undefined || field === undefined) throw new TypeError('no request');
    field.value = regions;
    request.headers['authorization'] = [{ key: 'Authorization', value: authorization }];
    await said.of(edge(event));
  }

  it.each([AS_ADMIN, ...REFUSED])('while regions fail, or Lambda answers in their place: %s', async (authorization) => {
    for (const [status, type] of [[502, 'text/plain'], [429, 'application/json'], [403, 'application/json'], [200, 'text/html']] as const) await ask(`${await region('eu-central-1', status, type)},${NOBODY.replace('eu-central-1', 'us-east-1')}`, authorization);
    for (const regions of ['', NOBODY, `eu-central-1=${authorization}`]) await ask(regions, authorization);
    said.stop();
    expect(said.lines.length).toBeGreaterThan(0);
    // What a region answers well is passed on, whatever it is.
    expect(leaksIn(said.lines.filter((line) => !line.includes('"user-agent":"curl/8.7.1"') && !line.includes("status: '200'")), SECRETS)).toEqual([]);
  }, 60_000);
});
