// Between "every process is up" and "the cluster is ready": the collection that the first steps use, and a moment in which
// the regions find each other.

import { HttpClient } from '../adapters/node/http-client.ts';
import { utf8, utf8Text } from '../core/bytes.ts';
import type { Log } from '../ports/log.ts';

export interface FirstSteps {
  readonly regions: readonly { readonly name: string; readonly url: string }[];
  readonly adminKey: string | undefined;
  /** The certificate to trust. */
  readonly ca: string | undefined;
  readonly log: Log;
}

/** A peer that stays away, or much that waits to be sent, does not keep a cluster from starting. */
const LINKED_MS_MAX = 1_000;
const LINKED_ASK_MS = 25;

export async function takeFirstSteps(steps: FirstSteps, linkedMsMax = LINKED_MS_MAX): Promise<void> {
  await createDemo(steps);
  await untilLinked(steps, performance.now() + linkedMsMax);
}

/** A region whose clock or disk is bad refuses; that does not keep a cluster from starting. */
async function createDemo(steps: FirstSteps): Promise<void> {
  let refusal = '';
  for (const { name, url } of steps.regions) {
    try {
      const answer = await ask(steps, url, { method: 'PUT', target: '/v1/c/demo', body: utf8('{"conflict":"lww"}'), timeoutMs: 10_000 });
      // Somebody may have made another `demo` since the first start.
      if (answer.status < 300 || answer.status === 409) return;
      refusal = `${name}: ${utf8Text(answer.body) ?? answer.status}`;
    } catch (error) {
      refusal = `${name}: ${String(error)}`;
    }
  }
  steps.log.write('error', 'demo.not-created', { refusal });
}

/** A region that was up before its peers waits before it tries again: the first write should not wait with it. */
async function untilLinked(steps: FirstSteps, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    const all = await Promise.all(steps.regions.map(({ url }) => hasSentAll(steps, url)));
    if (all.every(Boolean)) return;
    await new Promise((resolve) => setTimeout(resolve, LINKED_ASK_MS));
  }
}

async function hasSentAll(steps: FirstSteps, url: string): Promise<boolean> {
  try {
    const { body } = await ask(steps, url, { method: 'GET', target: '/v1/replication', timeoutMs: LINKED_MS_MAX });
    const { peers } = JSON.parse(utf8Text(body) ?? '') as { readonly peers: readonly { readonly state: string; readonly unreplicatedItems: number }[] };
    return peers.every(({ state, unreplicatedItems }) => state === 'paused' || (state === 'up' && unreplicatedItems === 0));
  } catch {
    return false;
  }
}

type Request = Omit<Parameters<HttpClient['send']>[0], 'headers'>;

async function ask({ adminKey, ca }: FirstSteps, url: string, request: Request): ReturnType<HttpClient['send']> {
  const client = new HttpClient(url, { ca });
  const headers = { 'content-type': 'application/json', ...(adminKey === undefined ? {} : { authorization: `Bearer ${adminKey}` }) };
  try {
    return await client.send({ ...request, headers });
  } finally {
    client.close();
  }
}
