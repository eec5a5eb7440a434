// When a cluster says that it is ready, before regions that tell what the test wants.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { takeFirstSteps } from '../../src/local/first-steps.ts';
import { SILENT, type Log } from '../../src/ports/log.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** Answers `/v1/replication` with one of these after the other, the last again and again. */
async function region(name: string, unreplicated: readonly number[], demo = 201): Promise<{ readonly name: string; readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const left = [...unreplicated];
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    asked.push(`${incoming.method} ${incoming.url} ${incoming.headers.authorization}`);
    if (incoming.method === 'PUT') outgoing.writeHead(demo).end('no');
    else outgoing.end(JSON.stringify({ peers: [{ state: 'up', unreplicatedItems: left.length > 1 ? left.shift() : left[0] }] }));
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return { name, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const steps = { adminKey: 'ak', ca: undefined, log: SILENT };
const ASKED = 'GET /v1/replication Bearer ak';

it('makes the collection demo in the first region, then waits until every region has sent what it has', async () => {
  const regions = [await region('a', [2, 1, 0]), await region('b', [1, 1, 1, 0])] as const;
  await takeFirstSteps({ ...steps, regions }, 60_000);
  expect(regions[0].asked).toEqual(['PUT /v1/c/demo Bearer ak', ASKED, ASKED, ASKED, ASKED]);
  expect(regions[1].asked).toEqual([ASKED, ASKED, ASKED, ASKED]);
});

it('another demo that is there already is left as it is', async () => {
  const regions = [await region('a', [0], 409), await region('b', [0])] as const;
  await takeFirstSteps({ ...steps, regions });
  expect(regions.map(({ asked }) => asked.length)).toEqual([2, 1]);
});

it('a region that refuses is told in the log, one that never sends is not waited for', async () => {
  const told: Parameters<Log['write']>[] = [];
  const regions = [await region('a', [7], 503), await region('b', [7], 503)];
  await takeFirstSteps({ ...steps, regions, log: { write: (...entry) => void told.push(entry) } }, 1);
  expect(told).toEqual([['error', 'demo.not-created', { refusal: 'b: no' }]]);
});
