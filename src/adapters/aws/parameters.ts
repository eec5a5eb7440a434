// Secrets by name, from the parameter store of the region. Read once per environment, and kept: a region goes on
// answering while they cannot be read again.

import { setTimeout as wait } from 'node:timers/promises';
import { utf8, utf8Text } from '../../core/bytes.ts';
import { ArchipelError } from '../../core/errors.ts';
import { errorIn, type ServiceAnswer, type SignedCalls } from './signed-calls.ts';

/** Its quota, 40 calls a second, is shared by every environment that starts. */
const ATTEMPTS_MAX = 5;
/** Before the second attempt at most, then twice as long each time. */
const RETRY_FIRST_MS = 100;

interface Found {
  readonly Parameters?: readonly { readonly Name?: string; readonly Value?: string }[];
}

/**
 * In the order of the names.
 * @throws ArchipelError `storage-unavailable` when one is not there, or the store does not answer
 */
export async function readSecrets<const Names extends readonly string[]>(calls: SignedCalls, names: Names): Promise<{ readonly [index in keyof Names]: string }> {
  const { Parameters = [] } = await ask(calls, names, 1);
  const values = names.map((name) => {
    const value = Parameters.find(({ Name }) => Name === name)?.Value;
    if (value === undefined) throw new ArchipelError('storage-unavailable', `There is no parameter ${name} in this region.`);
    return value;
  });
  return values as { readonly [index in keyof Names]: string };
}

async function ask(calls: SignedCalls, names: readonly string[], attempt: number): Promise<Found> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'AmazonSSM.GetParameters' };
  const body = utf8(JSON.stringify({ Names: names, WithDecryption: true }));
  let answer: ServiceAnswer | undefined;
  let cause: unknown;
  try {
    answer = await calls.post({ path: '/', headers, body });
  } catch (error) {
    cause = error;
  }
  if (answer?.status === 200) return foundIn(answer);
  const error = answer === undefined ? 'no answer' : errorIn(answer);
  if (attempt >= ATTEMPTS_MAX || !isWorthRetrying(answer, error)) throw new ArchipelError('storage-unavailable', `The parameter store does not answer: ${error}.`, { error }, cause);
  await wait(Math.random() * RETRY_FIRST_MS * 2 ** (attempt - 1)); // full jitter: environments start together
  return ask(calls, names, attempt + 1);
}

/** A parser shows what it could not read, and whoever logs its error logs that. */
function foundIn({ body }: ServiceAnswer): Found {
  try {
    return JSON.parse(utf8Text(body) ?? '') as Found;
  } catch {
    throw new ArchipelError('storage-unavailable', 'The parameter store answers, and not in JSON.');
  }
}

/** Missing rights or a wrong name do not pass. */
const isWorthRetrying = (answer: ServiceAnswer | undefined, error: string): boolean => answer === undefined || answer.status >= 500 || answer.status === 429 || /^(?:Throttling|TooManyUpdates)/.test(error);
