// The HTTP interface of a region: the tables of its routes put together, and the decision where a request is answered.

import { toHex } from '../core/bytes.ts';
import { ArchipelError } from '../core/errors.ts';
import { BATCH_BYTES_MAX } from '../core/limits.ts';
import type { RegionId } from '../core/version/dot.ts';
import type { Log } from '../ports/log.ts';
import { ANYBODY, type Principal } from '../auth/keys.ts';
import type { Answer } from './administration.ts';
import type { Call } from './call.ts';
import { directDoor, type DirectDoor } from './direct.ts';
import { answerForwarded, passOn } from './forward.ts';
import { Router, type App, type Route } from './router.ts';
import { addCollectionRoutes } from './routes/collections.ts';
import { addConflictRoutes } from './routes/conflicts.ts';
import { addDocumentRoutes, type DocumentParts } from './routes/documents.ts';
import { addItemRoutes } from './routes/items.ts';
import { addListRoutes } from './routes/lists.ts';
import type { Reply } from './reply.ts';
import type { RouteParts } from './routes/parts.ts';
import { addKeyRoutes, addReconciliationRoutes, addReplicationRoutes, addTopologyRoutes } from './routes/store.ts';
import { Service, type ServiceParts } from './service.ts';

export interface RegionAppParts extends ServiceParts, DocumentParts {
  readonly log: Log;
}

export interface RegionApp {
  readonly app: App;
  readonly routes: readonly Route[];
  readonly direct: DirectDoor;
}

const TAGS = {
  Items: 'One item: its value, and why it has it. A key is a pk and perhaps an sk, in the path, or as `?pk=&sk=` for keys that a path cannot carry.',
  Lists: 'Many items: ranges, scans, batches, dumps.',
  Conflicts: 'What concurrent writes left behind: siblings, and the ledger of the writes that lost.',
  Collections: 'Named sets of items, each with a policy.',
  Topology: 'Which regions take part, as an operator has decided.',
  Replication: 'Regions, and how far each has sent its writes.',
  Reconciliation: 'Proofs that the copies agree.',
  Keys: 'Who may do what.',
  'Health and documents': 'Of the process that answers.',
};

export function createRegionApp(parts: RegionAppParts): RegionApp {
  const { region, keys } = parts;
  const service = new Service(parts);
  const router = new Router({
    place: region.id,
    tags: TAGS,
    log: parts.log,
    monotonicMs: () => region.time.monotonicMs(),
    newRequestId: () => toHex(region.parts.random.bytes(8)),
    toRouters: () => service.lag(),
    identify: (authorization): Principal => (parts.noAuth && authorization === undefined ? ANYBODY : keys.identify(authorization, region.time.nowMs())),
  });

  const json = (call: Call, { status, body, headers = {} }: Answer): Response => {
    const fields = { ...service.headers(call, undefined), ...headers };
    return body === undefined ? new Response(null, { status, headers: fields }) : new Response(JSON.stringify(body), { status, headers: { ...fields, 'content-type': 'application/json' } });
  };

  function where<A>(call: Call, holders: readonly RegionId[], here: () => Promise<A>): Promise<A | Response | Reply> {
    if (!holders.includes(region.id)) return elsewhere(call, holders);
    region.assertServing();
    return here();
  }

  async function elsewhere(call: Call, holders: readonly RegionId[]): Promise<Response | Reply> {
    const forward = call.field('forward')?.trim();
    if (forward !== undefined && forward !== 'never') throw new ArchipelError('bad-request', 'Forward is never, or absent.');
    if (call.isForwarded || forward === 'never') throw wrongRegion(call, holders);
    const { method } = call.asked;
    const body = method === 'GET' || method === 'HEAD' ? new Uint8Array(0) : await call.body(BATCH_BYTES_MAX);
    return passOn(region, holders, { method, target: call.rawTarget, headers: call.asked.headers(), body });
  }

  function wrongRegion(call: Call, holders: readonly RegionId[]): ArchipelError {
    const url = holders.map((id) => region.catalog.entry(id)?.url).find((each) => each !== undefined);
    return new ArchipelError('wrong-region', `This item is held by ${holders.join(', ')}.`, url === undefined ? {} : { headers: { location: url + call.rawTarget } });
  }

  const routes: RouteParts = { service, json, where, add: (route) => router.add(route) };
  addItemRoutes(routes);
  addListRoutes(routes, (request, environment) => router.app.fetch(request, environment));
  addConflictRoutes(routes);
  addCollectionRoutes(routes);
  addTopologyRoutes(routes);
  addReplicationRoutes(routes);
  addReconciliationRoutes(routes);
  addKeyRoutes(routes);
  addDocumentRoutes(router, service, parts);

  region.answerForwarded((bytes) => answerForwarded(bytes, (request, environment) => router.app.fetch(request, environment)));
  return { app: router.app, routes: router.routes, direct: directDoor(router) };
}
