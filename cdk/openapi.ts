// The OpenAPI document as a region answers it, made when functions are bundled: a function that would make it needs the
// schemas of all answers and what prints them, 190 KB that no other request runs.

import { MemoryDeadLetters, MemoryQueue } from '../src/adapters/memory/queue.ts';
import { MemoryTable } from '../src/adapters/memory/table.ts';
import { hmacSha256, nodeRandom, sha256 } from '../src/adapters/node/crypto.ts';
import { LambdaClock } from '../src/adapters/aws/lambda-clock.ts';
import { ContextTokens } from '../src/auth/context-tokens.ts';
import { KeyRing, newKey } from '../src/auth/keys.ts';
import { utf8 } from '../src/core/bytes.ts';
import { asRegionId } from '../src/core/version/dot.ts';
import { Region } from '../src/engine/region.ts';
import { createRegionApp } from '../src/http/region-app.ts';
import { SILENT } from '../src/ports/log.ts';
import { firstTopology } from '../functions/commons/settings.ts';

/** Of a region that is never started: it says the same whatever it holds, and wherever it is. */
export async function openapiDocument(): Promise<string> {
  const id = asRegionId('eu-central-1');
  const clock = new LambdaClock();
  const hash = hmacSha256(utf8('of no deployment'));
  const table = new MemoryTable(hash);
  const region = new Region({
    id,
    incarnation: 'k1',
    isNew: false,
    drawIncarnation: async () => 'k2',
    topology: firstTopology([id]),
    table,
    changes: table.changes,
    peers: [],
    hints: () => new MemoryQueue(clock),
    deadLetters: () => new MemoryDeadLetters(),
    clock,
    random: nodeRandom,
    log: SILENT,
    hash: sha256,
    digestHash: hash,
    reconcileEveryMs: undefined,
  });
  const keys = new KeyRing(sha256, newKey(nodeRandom, sha256, 'admin').key);
  const { app } = createRegionApp({ region, keys, tokens: new ContextTokens([hash]), noAuth: false, defaultReplicas: 1, log: SILENT });
  return (await app.request('/openapi.json')).text();
}
