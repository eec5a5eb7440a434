// The edge as a process of its own.

import { NodeClock } from '../adapters/node/clock.ts';
import { nodeRandom, sha256 } from '../adapters/node/crypto.ts';
import { HttpClient, isUnsent } from '../adapters/node/http-client.ts';
import { ArchipelError } from '../core/errors.ts';
import type { Topology } from '../core/placement/topology.ts';
import type { RegionId } from '../core/version/dot.ts';
import { docsAnswer } from '../http/docs-page.ts';
import { createEdgeApp, type RegionClient } from '../http/edge-app.ts';
import type { Log } from '../ports/log.ts';
import { installedDocs } from './files.ts';
import { serve } from './http-server.ts';
import { startObserving } from './observer.ts';

export interface EdgeOptions {
  readonly host: string;
  readonly port: number;
  readonly topology: Topology;
  readonly regions: ReadonlyMap<RegionId, string>;
  /** That of the regions: with it the edge is an observer. */
  readonly secret: string | undefined;
  readonly hedgeMs: number | undefined;
  /** How many observers make a region down; undefined: two. */
  readonly observersAgree?: number | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly log: Log;
}

export interface RunningEdge {
  readonly port: number;
  stop(): Promise<void>;
}

function regionClient(client: HttpClient): RegionClient {
  return {
    send: async ({ method, target, headers, body, timeoutMs }) => {
      try {
        const answer = await client.send({ method, target, headers: Object.fromEntries(headers), timeoutMs, ...(body === undefined ? {} : { body }) });
        const pairs: [string, string][] = [];
        for (let i = 0; i < answer.rawHeaders.length; i += 2) pairs.push([answer.rawHeaders[i] as string, answer.rawHeaders[i + 1] as string]);
        return { status: answer.status, headers: pairs.filter(([name]) => !/^(connection|keep-alive|transfer-encoding|date)$/i.test(name)), body: answer.body };
      } catch (error) {
        throw new ArchipelError('peer-unreachable', 'The region gave no answer.', { unsent: isUnsent(error) }, error);
      }
    },
  };
}

export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const clients = new Map([...options.regions].map(([id, url]) => [id, new HttpClient(url, { ca: options.tls?.cert, sockets: 256 })]));
  const docs = installedDocs();
  const { app, edge } = createEdgeApp({
    topology: options.topology,
    clients: new Map([...clients].map(([id, client]) => [id, regionClient(client)])),
    clock: new NodeClock(),
    random: nodeRandom,
    log: options.log,
    hash: sha256,
    docs: (name) => docsAnswer(name, docs),
    hedgeMs: options.hedgeMs,
  });
  const server = await serve(app, { host: options.host, port: options.port, place: 'edge', tls: options.tls });
  const { secret } = options;
  const observing = secret === undefined ? undefined : startObserving({ kind: 'edge', secret, addresses: options.regions, ca: options.tls?.cert, log: options.log, agree: options.observersAgree, regions: () => edge.observed, version: () => edge.version, learnt: (region, document) => edge.learnt(region, document), judged: (region, isDown) => edge.judged(region, isDown) });
  return {
    port: server.port,
    stop: async () => {
      await server.close();
      observing?.stop();
      for (const client of clients.values()) client.close();
    },
  };
}
