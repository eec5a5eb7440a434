// The HTTP interface of the region on Lambda: the same app as on a machine, behind a mirror that reads first what the
// request depends on. For `api`, which clients reach, and for `peer`, to which other regions pass requests on.

import { readSecrets } from '../../src/adapters/aws/parameters.ts';
import { names } from '../../src/adapters/aws/names.ts';
import { deriveKey, hmacSha256, nodeRandom, sha256 } from '../../src/adapters/node/crypto.ts';
import { ContextTokens } from '../../src/auth/context-tokens.ts';
import { KeyRing } from '../../src/auth/keys.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { HttpEnvironment } from '../../src/http/call.ts';
import { answerForwarded } from '../../src/http/forward.ts';
import { problemResponse, toArchipelError } from '../../src/http/problem.ts';
import { createRegionApp } from '../../src/http/region-app.ts';
import { lambdaCalls, parameterCalls } from './clients.ts';
import { COST_FIELD } from './meter.ts';
import { openRegion, type RegionOnLambda } from './region.ts';
import { lambdaRuns } from './runs.ts';
import { settingsOf } from './settings.ts';
import { unreadOf } from './unread.ts';

export interface AppOnLambda extends RegionOnLambda {
  readonly fetch: (request: Request, environment: HttpEnvironment) => Promise<Response>;
  readonly problem: (error: unknown) => Response;
}

/** What another process of the region has paused since is not resumed by the way. */
const PAUSES = /^\/v1\/replication\/[^/?]*\/(?:pause|resume)(?:[/?]|$)/;

const CERTIFICATES = /^\/v1\/certificates(?:[/?]|$)/;

export async function openApp(): Promise<AppOnLambda> {
  const { deployment, region: id, replicas } = settingsOf(process.env);
  const secrets = readSecrets(parameterCalls(id), [names.secret(deployment), names.adminKey(deployment)]);
  const ring = secrets.then(([, adminKey]) => new KeyRing(sha256, adminKey));
  const opened = await openRegion({ ring, secret: secrets.then(([shared]) => shared), unread: unreadOf });
  const [[secret], keys] = await Promise.all([secrets, ring]);
  const { settings, region, mirror, clock, log, meter } = opened;
  const runs = lambdaRuns({ table: region.parts.table, clock, random: nodeRandom, lambda: lambdaCalls(id), settings });
  const tokens = new ContextTokens([hmacSha256(deriveKey(utf8(secret), 'context'))]);
  const { app } = createRegionApp({ region, keys, tokens, noAuth: false, defaultReplicas: replicas, log, runs });
  const problem = (error: unknown): Response => problemResponse(toArchipelError(error), { instance: process.env['_X_AMZN_TRACE_ID'] ?? '', region: id });

  const fetch = async (request: Request, environment: HttpEnvironment & { readonly rawTarget: string }): Promise<Response> => {
    try {
      const authorization = request.headers.get('authorization');
      await mirror.request(environment.rawTarget, authorization);
      // Made by `reconcile`, in processes of its own.
      if (CERTIFICATES.test(environment.rawTarget)) await region.reconciler.start();
      if (PAUSES.test(environment.rawTarget)) await region.loadPauses();
      return await app.fetch(request, environment);
    } catch (error) {
      if (toArchipelError(error).code === 'internal') log.write('error', 'http.failed', { error: String(error) });
      return problem(error);
    }
  };
  const answer = async (request: Request, environment: HttpEnvironment): Promise<Response> => {
    meter.begin();
    const response = await fetch(request, { ...environment, rawTarget: environment.rawTarget ?? '/' });
    return request.headers.get(COST_FIELD) === '?1' ? meter.on(response) : response;
  };
  region.answerForwarded((bytes) => answerForwarded(bytes, answer));
  return { ...opened, fetch: answer, problem };
}
