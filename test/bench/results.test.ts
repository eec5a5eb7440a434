import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Generator } from '../../bench/lib/processes.ts';
import { median, quantile } from '../../bench/lib/numbers.ts';
import { isDecided, judge, judgeRow, missed, printed, tailsOf, verdictOn, written, type Figure, type Row } from '../../bench/lib/results.ts';
import { fieldOf, requestBytes, Wire, type Answered } from '../../bench/lib/wire.ts';

const share: Figure = { name: 'share', value: 0.5, unit: 'x', yardstick: 'hono: 50,000/s', floor: 0.45, goal: 0.7, better: 'higher' };
const lag: Figure = { name: 'p99', value: 4, unit: 'ms', floor: 60, goal: 5, better: 'lower' };
const row = (...figures: readonly Figure[]): Row => ({ id: 'P1', title: 'GET', figures, attempts: 1, neighbours: undefined });

describe('a row of the benchmark', () => {
  it('is judged by its floor and its goal, whichever way is better', () => {
    expect(judge(share)).toBe('floor');
    expect(judge({ ...share, value: 0.7 })).toBe('goal');
    expect(judge({ ...share, value: 0.449 })).toBe('none');
    expect(judge(lag)).toBe('goal');
    expect(judge({ ...lag, value: 61 })).toBe('none');
    expect(judge({ ...lag, value: Number.NaN })).toBe('none');
    expect(judge({ name: 'time', value: 1, unit: 'ms', better: 'lower' })).toBe('measured');
  });

  it('is as good as its worst figure', () => {
    expect(judgeRow(row(lag, share))).toBe('floor');
    expect(missed(row(lag, { ...share, value: 0.1 }))).toBe(true);
  });

  it('is measured again after a miss, until most attempts agree; the last one is then one of these', () => {
    const attempts = (shown: readonly boolean[]): boolean[] => shown.slice(0, shown.findIndex((_, at) => isDecided(shown.slice(0, at + 1), 5)) + 1);
    expect(attempts([true, false, false])).toEqual([true]);
    expect(attempts([false, true, true, true, false])).toEqual([false, true, true, true]);
    expect(attempts([false, false, false, true, true])).toEqual([false, false, false]);
    expect(attempts([false, true, false, true, false])).toEqual([false, true, false, true, false]);
    expect(attempts([false, true, false, true, true])).toEqual([false, true, false, true, true]);
  });

  it('that misses its floor counts, whoever else used the machine, unless it is named as open', () => {
    const low: Row = { ...row({ ...share, value: 0.1 }), neighbours: 0.9, attempts: 5 };
    const good: Row = { ...row(share), id: 'P2' };
    const ids = (open: readonly string[]): string[][] => Object.values(verdictOn([low, good], new Set(open))).map((rows: readonly Row[]) => rows.map(({ id }) => id));
    expect(ids([])).toEqual([['P1'], ['P1'], []]);
    expect(ids(['P1', 'P2'])).toEqual([['P1'], [], ['P2']]);
  });

  it('is written as numbers, or with a name for each figure', () => {
    expect(written(row(share))).toEqual({ value: 0.5, yardstick: 'hono: 50,000/s', floor: 0.45, goal: 0.7, met: 'floor' });
    expect(written(row(share, lag))).toMatchObject({ value: { share: 0.5, p99: 4 }, floor: { share: 0.45, p99: 60 }, met: 'floor' });
    expect(written(row(share, { ...lag, aside: true })).value).toBe(0.5);
    expect(written(row({ ...lag, value: Number.NaN }))).toMatchObject({ value: null, met: 'none' });
  });

  it('shows what lies behind a median, and writes it beside the figures', () => {
    const tails = { of: 'a GET', p50Ms: 1, p99Ms: 12, p999Ms: 123 };
    expect(printed(row({ ...share, tails }))).toContain('a GET: p50 1, p99 12, p99.9 123 ms');
    expect(written(row({ ...share, tails }))).toEqual({ value: 0.5, yardstick: 'hono: 50,000/s', floor: 0.45, goal: 0.7, met: 'floor', tails: [tails] });
    expect(tailsOf('a GET', [1, 3, 2].map((p50Ms) => ({ p50Ms, p99Ms: 10 * p50Ms, p999Ms: 100 * p50Ms })))).toEqual({ of: 'a GET', p50Ms: 2, p99Ms: 20, p999Ms: 200 });
  });

  it('says when it was measured again, and when others used the machine', () => {
    expect(printed({ ...row(share), attempts: 2, neighbours: 0.4 })).toContain('measured 2 times; others took 40 % of the processors');
    expect(printed({ ...row(share), neighbours: 0.05 })).not.toContain('others');
  });
});

describe('the figures behind it', () => {
  it('are medians and quantiles', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(quantile([1, 2, 3, 4], 0.99)).toBe(4);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe('the load generator', () => {
  it('in an open loop: a server that stands still is seen by all who were due meanwhile', { timeout: 30_000 }, async () => {
    const STILL_MS = 700;
    let firstMs: number | undefined;
    const server = createServer((_, response) => void setTimeout(() => response.end('x'), Math.max(0, (firstMs ??= performance.now()) + STILL_MS - performance.now())));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const generator = new Generator();
    const job = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, method: 'GET', path: '/', headers: {}, connections: 2 } as const;
    const open = await generator.load({ ...job, seconds: 30, requests: 100, perSecond: 200 });
    await generator.end();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(open.done).toBe(100);
    // Of a closed loop two of a hundred would have waited.
    expect(open.p50Ms).toBeGreaterThan(100);
  });

  it('understands answers with a length, in chunks, and without a body, on one connection', async () => {
    const server = createServer((request, response) => {
      response.setHeader('etag', '"a"');
      if (request.url === '/length') response.end('x'.repeat(100_000));
      else if (request.url === '/chunks') response.writeHead(200).write('x'.repeat(50_000), () => response.end('y'));
      else response.writeHead(204).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const wire = new Wire(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    for (const [target, status] of [['/length', 200], ['/chunks', 200], ['/nothing', 204], ['/length', 200]] as const) {
      const answer = (await wire.ask(requestBytes('PUT', target, { 'content-type': 'text/plain' }, Buffer.from('v')))) as Answered;
      expect(answer.status).toBe(status);
      expect(fieldOf(answer.head, 'etag')).toBe('"a"');
    }
    wire.close();
    server.closeAllConnections();
    expect(await wire.ask(requestBytes('GET', '/', {})).catch(() => undefined)).toBeDefined();
    wire.close();
    await new Promise((resolve) => server.close(resolve));
    expect(await wire.ask(requestBytes('GET', '/', {}))).toBeUndefined(); // nobody listens: told, not thrown
  });
});
