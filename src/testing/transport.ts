// How a client speaks to a simulated cluster: from a process of its own, near one of the regions.

import type { Process } from '../adapters/sim/machine.ts';
import { NoAnswer, type Transport } from '../client/exchange.ts';
import { isArchipelError } from '../core/errors.ts';
import type { RegionId } from '../core/version/dot.ts';
import { PLACES, type SimCluster } from './cluster.ts';

/** @param near where the client is, for the edge */
export function simTransport(sim: SimCluster, process: Process, to: RegionId | 'edge', near: RegionId): Transport {
  const place = PLACES.find(({ id }) => id === near);
  const viewer = { 'cloudfront-viewer-latitude': String(place?.lat ?? 0), 'cloudfront-viewer-longitude': String(place?.lon ?? 0) };
  return {
    send: async ({ method, target, headers, body, timeoutMs }) => {
      try {
        const answer = await sim.ask(process, to, { method, target, headers: { ...viewer, ...headers }, ...(body === undefined ? {} : { body }) }, timeoutMs);
        return { status: answer.status, headers: Object.fromEntries(answer.fields), body: answer.body };
      } catch (error) {
        throw isArchipelError(error) ? new NoAnswer(error.message, error.details['unsent'] === true, error) : error;
      }
    },
    close: () => undefined,
  };
}
