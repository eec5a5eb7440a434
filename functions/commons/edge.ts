// The edge app on Lambda@Edge, made from the field that names the regions, and kept while the field stays the same.
//
//   archipel-regions: eu-central-1=abc.lambda-url.eu-central-1.on.aws,us-east-1=…

import { sha256, nodeRandom } from '../../src/adapters/node/crypto.ts';
import { HttpClient, isUnsent } from '../../src/adapters/node/http-client.ts';
import { JsonLog } from '../../src/adapters/node/log.ts';
import { LambdaClock } from '../../src/adapters/aws/lambda-clock.ts';
import { REGIONS_FIELD } from '../../src/adapters/aws/names.ts';
import { ArchipelError, isArchipelError } from '../../src/core/errors.ts';
import { asRegionId, type RegionId } from '../../src/core/version/dot.ts';
import { createEdgeApp, type EdgeApp, type RegionClient } from '../../src/http/edge-app.ts';
import { pathOf, SENT_PATH_FIELD } from './sent-path.ts';
import { firstTopology } from './settings.ts';

const clock = new LambdaClock();
let made: { readonly field: string; readonly app: EdgeApp; readonly clients: readonly HttpClient[] } | undefined;

/** @throws ArchipelError `internal` when the distribution adds no regions */
export function edgeFor(field: string): EdgeApp {
  clock.thaw();
  if (made?.field === field) return made.app;
  const urls = urlsIn(field);
  for (const client of made?.clients ?? []) client.close();
  const clients = new Map([...urls].map(([id, url]) => [id, new HttpClient(url)]));
  const { app } = createEdgeApp({
    topology: firstTopology([...urls.keys()]),
    clients: new Map([...clients].map(([id, client]) => [id, regionClient(client)])),
    clock,
    random: nodeRandom,
    log: new JsonLog({ place: 'edge', region: process.env['AWS_REGION'] }),
    hash: sha256,
  });
  made = { field, app, clients: [...clients.values()] };
  return app;
}

function urlsIn(field: string): ReadonlyMap<RegionId, string> {
  const pairs = field.split(',').flatMap((pair): [RegionId, string][] => {
    const [id = '', host = ''] = pair.trim().split('=');
    return host === '' ? [] : [[asRegionId(id), host.includes('://') ? host : `https://${host}`]];
  });
  if (pairs.length === 0) throw new ArchipelError('internal', `The distribution adds no ${REGIONS_FIELD}.`);
  return new Map(pairs);
}

/**
 * Lambda answers in a region's place when its function cannot be called, or does not end well. What a region itself
 * refuses, it refuses with a problem document. 403, 404 and 429 (no concurrency left) are given before the function runs;
 * after anything else it may have done the write.
 */
function refuseHostsOwn({ status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, unknown>> }): void {
  if (status < 400 || String(headers['content-type']).startsWith('application/problem+json')) return;
  throw new ArchipelError('peer-unreachable', `Lambda answers ${status} in the region's place.`, { unsent: status === 403 || status === 404 || status === 429 });
}

const regionClient = (client: HttpClient): RegionClient => ({
  send: async ({ method, target, headers, body, timeoutMs }) => {
    try {
      const answer = await client.send({ method, target, headers: { ...Object.fromEntries(headers), [SENT_PATH_FIELD]: pathOf(target) }, timeoutMs, ...(body === undefined ? {} : { body }) });
      refuseHostsOwn(answer);
      const fields = answer.rawHeaders.flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, answer.rawHeaders[at + 1] ?? '']] : []));
      return { status: answer.status, headers: fields, body: answer.body };
    } catch (error) {
      if (isArchipelError(error)) throw error;
      throw new ArchipelError('peer-unreachable', 'The region gave no answer.', { unsent: isUnsent(error) }, error);
    }
  },
});
