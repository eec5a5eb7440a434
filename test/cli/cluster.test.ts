// The whole command line against a cluster of three processes and an edge.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterFile } from '../../src/local/cluster-file.ts';
import { freePorts, isAlive, start, type Program } from './programs.ts';
import { archipel, FakeTerminal, until, type Outcome } from './support.ts';

const [SEOUL, FRANKFURT, VIRGINIA] = ['ap-northeast-2', 'eu-central-1', 'us-east-1'] as const;
const REGIONS = [SEOUL, FRANKFURT, VIRGINIA];
const SECONDS = 1_000;

let folder: string;
let data: string;
let cluster: Program;
let port: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archipel-cli-'));
  data = join(folder, 'data');
  port = await freePorts(4);
  cluster = start(['up', '--data', data, '--port', String(port), '--reconcile-every', 'off', '--json']);
  await Promise.race([until(() => cluster.out(), (out) => out.endsWith('\n'), 20 * SECONDS), cluster.ended.then(({ err }) => Promise.reject(new Error(err)))]);
}, 25 * SECONDS);

afterAll(async () => {
  cluster.process.kill('SIGKILL');
  await cluster.ended;
  rmSync(folder, { recursive: true });
});

const clusterFile = (): ClusterFile => JSON.parse(readFileSync(join(data, 'cluster.json'), 'utf8')) as ClusterFile;
const at = (...args: readonly string[]): Promise<Outcome> => archipel([...args, '--data', data]);

/** The JSON that a command prints, which must succeed. */
async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, out, err } = await at(...args, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as T;
}

const lines = (text: string): string[] => text.split('\n').slice(0, -1);

describe('up', () => {
  it('says in one line where everything is, and keeps the same in cluster.json, for its owner only', () => {
    const file = JSON.parse(cluster.out()) as ClusterFile;
    expect(file).toEqual(clusterFile());
    expect(statSync(join(data, 'cluster.json')).mode & 0o777).toBe(0o600);
    for (const { data: own } of file.regions) expect(statSync(own).mode & 0o777).toBe(0o700);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    expect(file.edge.url).toBe(`http://127.0.0.1:${port}`);
    expect(file.regions.map(({ id, url }) => ({ id, url }))).toEqual(REGIONS.map((id, index) => ({ id, url: `http://127.0.0.1:${port + 1 + index}` })));
    expect(file.adminKey).toMatch(/^ak_admin_/);
  });

  it('a second one on the same data: one sentence, exit code 1', async () => {
    expect(await start(['up', '--data', data, '--port', String(port)]).ended).toEqual({ code: 1, out: '', err: `A cluster is running on ${data} already.\n` });
  });
});

describe('items', () => {
  it('put, get, del: values, tags, and exit codes', async () => {
    const written = await json<{ etag: string }>('put', 'demo', 'a', 'hello');
    expect(written).toMatchObject({ collection: 'demo', pk: 'a', outcome: 'stored', created: true, attempts: 1, servedBy: { region: SEOUL } });
    expect(written).not.toHaveProperty('isReplicated'); // nobody waited for it
    expect(await at('get', 'demo', 'a')).toEqual({ code: 0, out: 'hello', err: '' });
    expect(await json('get', 'demo', 'a')).toMatchObject({ type: 'value', text: 'hello', contentType: 'text/plain; charset=utf-8', etag: written.etag });
    expect((await at('put', 'demo', 'a', 'other', '--if-none-match', '*')).code).toBe(2);
    expect((await at('put', 'demo', 'a', 'hello again', '--if-match', written.etag)).code).toBe(0);
    expect((await at('del', 'demo', 'a')).code).toBe(0);
    expect((await at('del', 'demo', 'a')).code).toBe(2);
    expect(await at('get', 'demo', 'a')).toEqual({ code: 2, out: '', err: 'There is no such item.\n' });
    expect(await at('get', 'nothing', 'a')).toEqual({ code: 2, out: '', err: 'There is no collection nothing.\n' });
  });

  it('from a file, from a pipe, with keys that are not text, waiting for the others', async () => {
    const file = join(folder, 'value.json');
    writeFileSync(file, '{"id":12345678901234567890}');
    expect(await json('put', 'demo', 'AP8', '--base64url-keys', '--file', file, '--replicate-to', '2')).toMatchObject({ pkBase64: 'AP8=', replicatedTo: expect.arrayContaining([FRANKFURT, VIRGINIA]) as unknown });
    expect((await at('get', 'demo', 'AP8', '--base64url-keys', '--region', VIRGINIA, '--json')).out).toContain('"value":{"id":12345678901234567890}');
    expect((await archipel(['put', 'demo', 'piped', '--data', data], new FakeTerminal({ input: 'by a pipe' }))).code).toBe(0);
    expect((await at('get', 'demo', 'piped')).out).toBe('by a pipe');
    expect((await at('get', 'demo', 'piped', '--out', join(folder, 'out'))).code).toBe(0);
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe('by a pipe');
  });

  it('the viewer’s place chooses the region', async () => {
    expect(await json('put', 'demo', 'near', 'v', '--lat', '50.1', '--lon', '8.7')).toMatchObject({ servedBy: { region: FRANKFURT } });
  });

  it('a retry under one operation id is one write', async () => {
    expect(await json('put', 'demo', 'once', 'v', '--idempotency-key', 'op-1')).toMatchObject({ outcome: 'stored', idempotencyKey: 'op-1' });
    expect(await json('put', 'demo', 'once', 'v', '--idempotency-key', 'op-1')).toMatchObject({ outcome: 'duplicate' });
  });

  it('to a terminal nothing is sent that is not text', async () => {
    await archipel(['put', 'demo', 'binary', '--data', data], new FakeTerminal({ input: '\u0000\u0001' }));
    const { code, out } = await archipel(['get', 'demo', 'binary', '--data', data], new FakeTerminal({ isTty: true }));
    expect({ code, out }).toEqual({ code: 1, out: '' });
  });

  it('range and scan: pages, bounds, all of it', async () => {
    for (const sk of ['1', '2', '3', '4']) await at('put', 'demo', 'list', `v${sk}`, '--sk', sk);
    interface Page {
      readonly items: readonly { readonly sk?: string; readonly pk?: string }[];
      readonly cursor?: string;
    }
    const keys = ({ items }: Page): (string | undefined)[] => items.map(({ sk }) => sk);
    expect(keys(await json('range', 'demo', 'list', '--gt', '1', '--le', '3'))).toEqual(['2', '3']);
    expect(keys(await json('range', 'demo', 'list', '--desc', '--limit', '1'))).toEqual(['4']);
    const first = await json<Page>('range', 'demo', 'list', '--limit', '3');
    expect(keys(await json('range', 'demo', 'list', '--cursor', first.cursor as string))).toEqual(['4']);
    expect(lines((await at('range', 'demo', 'list', '--all', '--json')).out)).toHaveLength(4);
    expect((await at('range', 'demo', 'list', '--prefix', '2')).out).toBe('  pk    sk  value\n  list  2   v2\n');
    const scanned = lines((await at('scan', 'demo', '--all', '--json')).out).map((line) => (JSON.parse(line) as { pk?: string }).pk);
    expect(scanned.filter((pk) => pk === 'list')).toHaveLength(4);
    expect((await json<Page>('scan', 'demo', '--limit', '2')).items).toHaveLength(2);
  });
});

describe('collections and keys', () => {
  it('create once, the same again, another policy', async () => {
    expect(await json('collection', 'create', 'carts', '--conflict', 'siblings')).toMatchObject({ name: 'carts', conflict: 'siblings', state: 'active', isNew: true });
    expect(await json('collection', 'create', 'carts', '--conflict', 'siblings')).toMatchObject({ isNew: false });
    expect(await at('collection', 'create', 'carts')).toEqual({ code: 2, out: '', err: 'There is a collection carts with another policy.\n' });
    expect(await json('collection', 'show', 'carts')).toMatchObject({ replicas: 3, regions: 'all' });
    expect((await json<{ collections: { name: string }[] }>('collection', 'list')).collections.map(({ name }) => name)).toEqual(['carts', 'demo']);
  });

  it('a key opens what it is for, until it is revoked', async () => {
    const { id, key } = await json<{ id: string; key: string }>('key', 'create', '--scope', 'read', '--collection', 'demo', '--expires', '1h');
    const as = (...args: readonly string[]): Promise<Outcome> => archipel([...args, '--data', data], new FakeTerminal({ env: { ARCHIPEL_KEY: key } }));
    expect((await as('get', 'demo', 'once')).out).toBe('v');
    expect(await as('put', 'demo', 'once', 'w')).toMatchObject({ code: 1, err: 'The key has no write scope.\n' });
    expect(await as('get', 'carts', 'x')).toMatchObject({ code: 1, err: 'The key is not for the collection carts.\n' });
    expect((await json<{ keys: { id: string }[] }>('key', 'list')).keys.map((each) => each.id)).toContain(id);
    expect(await json('key', 'revoke', id)).toEqual({ id, revoked: true });
    expect(await as('get', 'demo', 'once')).toMatchObject({ code: 1, err: 'The key is not known, or was revoked. Give a key with --key, or in ARCHIPEL_KEY.\n' });
    expect((await at('key', 'revoke', id)).code).toBe(2);
  });
});

describe('regions', () => {
  it('pause, write on both sides, resume: siblings, a loss and its restore, an explanation', async () => {
    await json('replication', 'pause', SEOUL, FRANKFURT);
    for (const [region, value] of [[SEOUL, 'mine'], [FRANKFURT, 'yours']] as const) {
      for (const collection of ['carts', 'demo']) await json('put', collection, 'both', value, '--region', region);
    }
    interface Status {
      readonly healthy: boolean;
      readonly regions: readonly { readonly id: string; readonly replication: { readonly peers: readonly { readonly id: string; readonly state: string; readonly unreplicatedItems: number }[] } }[];
    }
    const waiting = (status: Status): unknown => status.regions.find(({ id }) => id === SEOUL)?.replication.peers.find(({ id }) => id === FRANKFURT);
    expect(waiting(await json('status'))).toMatchObject({ state: 'paused', unreplicatedItems: 2 });
    await json('replication', 'resume', SEOUL, FRANKFURT);

    const siblings = await until(() => at('get', 'carts', 'both', '--region', FRANKFURT, '--json'), ({ out }) => out.includes('"type":"siblings"'));
    expect(siblings.code).toBe(2);
    expect((await at('get', 'carts', 'both', '--region', FRANKFURT, '--siblings', 'winner')).out).toBe('yours');
    expect(await json('conflicts', 'list', 'carts', '--state', 'siblings')).toMatchObject({ items: [{ kind: 'sibling', pk: 'both' }] });
    expect((await json<{ candidates: object[] }>('explain', 'carts', 'both', '--region', FRANKFURT)).candidates).toHaveLength(2);
    const { context } = JSON.parse(siblings.out) as { context: string };
    expect(await json('put', 'carts', 'both', 'merged', '--context', context)).toMatchObject({ outcome: 'stored' });

    const ledger = await until(() => json<{ items: { id: string; pk: string; rule: string }[] }>('conflicts', 'list', 'demo'), ({ items }) => items.length > 0);
    expect(ledger.items).toMatchObject([{ kind: 'lost', pk: 'both', rule: 'lww' }]);
    const id = ledger.items[0]?.id as string;
    expect(await json('conflicts', 'restore', 'demo', id, '--idempotency-key', 'back-1')).toMatchObject({ id, outcome: 'stored', idempotencyKey: 'back-1' });
    expect(await json('conflicts', 'restore', 'demo', id, '--idempotency-key', 'back-1')).toMatchObject({ id, outcome: 'duplicate' });
    for (const region of REGIONS) await until(() => at('get', 'demo', 'both', '--region', region), ({ out }) => out === 'mine');
    expect((await at('conflicts', 'restore', 'demo', 'ffff')).code).toBe(2);
    expect((await at('explain', 'demo', 'both')).out).toContain('policy lww · as ap-northeast-2 sees it');
  });

  it('reconcile proves every pair equal; status shows it; dumps are the same, in order', async () => {
    const { agreed, runs } = await json<{ agreed: boolean; runs: { run: { pairs: { certificate?: { digest: string } }[] } }[] }>('reconcile', '--deep');
    expect(agreed).toBe(true);
    expect(runs.flatMap(({ run }) => run.pairs.map(({ certificate }) => certificate?.digest))).toHaveLength(3);
    expect(await json('reconcile', '--region', VIRGINIA, '--peer', SEOUL, '--collection', 'carts')).toMatchObject({ agreed: true, runs: [{ region: VIRGINIA, run: { pairs: [{ peer: SEOUL, equal: true }] } }] });
    expect((await at('reconcile', '--peer', 'mars')).code).toBe(1);

    const { healthy, certificates } = await json<{ healthy: boolean; certificates: { regions: string[] }[] }>('status');
    expect(healthy).toBe(true);
    expect(certificates.map(({ regions }) => regions.join())).toEqual(['ap-northeast-2,eu-central-1', 'ap-northeast-2,us-east-1', 'eu-central-1,us-east-1']);
    expect((await at('status')).out).toMatch(/Seoul {2,}active {2,}serving {2,}safe/);

    const [dump, ...others] = await Promise.all(REGIONS.map(async (region) => (await at('dump', '--region', region)).out));
    expect(others).toEqual([dump, dump]);
    const positions = lines(dump as string).map((line) => line.slice(0, 24));
    expect(positions).toEqual([...positions].sort());
    const collections = lines(dump as string).map((line) => line.split(' ')[1]);
    for (const name of ['_collections', '_keys', 'demo', 'carts']) expect(collections).toContain(name);
    const carts = lines((await at('dump', '--region', SEOUL, '--collection', 'carts', '--json')).out).map((line) => JSON.parse(line) as object);
    expect(carts).toMatchObject([{ collection: 'carts', record: expect.stringContaining('"merged"') as unknown }]);
  });

  it('there is no such region', async () => {
    expect(await at('get', 'demo', 'a', '--region', 'mars')).toEqual({ code: 1, out: '', err: 'There is no region "mars" in this cluster; there are ap-northeast-2, eu-central-1, us-east-1.\n' });
  });
});

describe('demo', () => {
  interface Told {
    readonly verdict: string;
    readonly steps: readonly { readonly title: string; readonly claims: readonly { readonly holds: boolean }[]; readonly requests: readonly { readonly curl: string; readonly status: number }[] }[];
  }

  it('shows all that it claims', async () => {
    const { code, out, err } = await archipel(['demo', '--data', data, '--json'], new FakeTerminal({ isErrTty: true }));
    const { verdict, steps } = JSON.parse(out) as Told;
    expect([code, err.split('\r\x1b[2K').at(-1)]).toEqual([0, '']); // the progress that was shown is wiped away
    expect(verdict).toBe('passed');
    expect(steps).toHaveLength(8);
    expect(steps.every(({ claims }) => claims.length > 0 && claims.every(({ holds }) => holds))).toBe(true);
    expect(steps.flatMap(({ requests }) => requests.map(({ status }) => status))).toContain(300);
    expect(JSON.stringify(steps)).not.toContain(clusterFile().adminKey);
  });

  it('is told to people; Ctrl-C while two regions are apart joins them again', async () => {
    const terminal = new FakeTerminal();
    terminal.out.onWrite = (text) => {
      if (text.includes('both sides say that it is paused')) terminal.interrupt();
    };
    const { code, out } = await archipel(['demo', '--data', data], terminal);
    expect(code).toBe(1);
    expect(out).toContain('Written in Seoul, read in Frankfurt');
    expect(out).toContain('Interrupted; replication goes on.');
    expect((await at('status', '--json')).out).not.toContain('"paused":true');
  });

  it('leaves a pause alone that somebody else made', async () => {
    await json('replication', 'pause', FRANKFURT, SEOUL, '--one-side');
    const { code, out } = await at('demo', '--json');
    expect({ code, told: JSON.parse(out) as unknown }).toMatchObject({ code: 1, told: { verdict: 'failed', error: `Replication between ${SEOUL} and ${FRANKFURT} is paused. Resume it first: archipel replication resume ${SEOUL} ${FRANKFURT}` } });
    await json('replication', 'resume', FRANKFURT, SEOUL);
  });
});

describe('when something dies', () => {
  it('a region is started again, with its data, and cluster.json says so', async () => {
    const before = clusterFile();
    const pid = before.regions[1]?.pid as number;
    process.kill(pid, 'SIGKILL');
    const after = await until(clusterFile, ({ regions }) => regions[1]?.pid !== pid && regions[1]?.pid !== 0);
    expect(after.edge).toEqual(before.edge);
    await until(() => at('get', 'demo', 'once', '--region', FRANKFURT, '--timeout', '1s'), ({ out }) => out === 'v');
  });

  it('the edge is missed by status, which asks the regions then', async () => {
    process.kill(clusterFile().edge.pid, 'SIGSTOP');
    const { code, out } = await at('status');
    process.kill(clusterFile().edge.pid, 'SIGCONT');
    expect(code).toBe(2);
    expect(out).toContain('! The edge does not answer');
  }, 15 * SECONDS);

  it('Ctrl-C ends everything, and cluster.json with it', async () => {
    const { edge, regions } = clusterFile();
    cluster.process.kill('SIGINT');
    expect((await cluster.ended).code).toBe(0);
    expect([edge.pid, ...regions.map(({ pid }) => pid)].filter(isAlive)).toEqual([]);
    expect(await at('get', 'demo', 'a')).toMatchObject({ code: 1, err: `No cluster is running on ${data} (there is no cluster.json). Start one with npm start, or give --data, or --url and --key.\n` });
  });
});
