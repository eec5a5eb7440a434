// What a deployment is: a configuration file (`--config FILE`), and what the command line says over it (`--regions`,
// `--name`, `--ephemeral`). Both are checked by one schema, before anything is made.

import { readFileSync } from 'node:fs';
import type { Node } from 'constructs';
import { z } from 'zod';
import { DEPLOYMENT } from '../src/adapters/aws/names.ts';
import { GATHER_SECONDS, GATHER_SECONDS_MAX, parseRegions, REGIONS_MAX } from '../src/config/options.ts';
import type { RegionId } from '../src/core/version/dot.ts';

export interface Deployment {
  /** What the names of all resources begin with. */
  readonly name: string;
  readonly regions: readonly RegionId[];
  /** Of collections that do not say how many regions hold them. */
  readonly replicas: number;
  /** How long `fan-out` waits for more writes to send with the first: it costs so much lag, and saves invocations and messages. */
  readonly gatherSeconds: number;
  /** For trials: the tables go with their stacks, unprotected and without point-in-time recovery. */
  readonly ephemeral: boolean;
  /** Who is mailed when an alarm goes off, or is over. */
  readonly alarmAddress?: string;
}

/** The edge lives in one region of its own: CloudFront takes its functions from there. */
export const EDGE_REGION = 'us-east-1';

const configuration = z.strictObject({
  name: z.string().regex(DEPLOYMENT, 'has 1 to 20 of a-z 0-9 -, and begins with a letter').default('archipel'),
  regions: z.union([z.int(), z.string(), z.array(z.string()).min(1)]).default(3),
  replicas: z.int().min(1).max(REGIONS_MAX).default(3),
  gatherSeconds: z.int().min(0).max(GATHER_SECONDS_MAX).default(GATHER_SECONDS),
  ephemeral: z.boolean().default(false),
  alarmAddress: z.email().optional(),
});

/** What the command line may say over the file, by the names of the CDK's context. */
const FLAGS = { name: 'deployment', regions: 'regions', replicas: 'replicas', gatherSeconds: 'gatherSeconds', ephemeral: 'ephemeral', alarmAddress: 'alarmAddress' } as const;

/** @throws TypeError, ArchipelError `bad-request` with a sentence for people */
export function deploymentOf(node: Node): Deployment {
  const flags = Object.entries(FLAGS).flatMap(([name, flag]) => (node.tryGetContext(flag) === undefined ? [] : [[name, valueOf(node.tryGetContext(flag))] as const]));
  const { success, data, error } = configuration.safeParse({ ...fileOf(node), ...Object.fromEntries(flags) });
  if (!success) throw new TypeError(`The configuration of the deployment is wrong.\n${z.prettifyError(error)}`);
  const { regions, alarmAddress, ...rest } = data;
  return { ...rest, regions: parseRegions(String(regions)), ...(alarmAddress === undefined ? {} : { alarmAddress }) };
}

/** `--context replicas=2` is text. */
const valueOf = (value: unknown): unknown => (value === 'true' ? true : value === 'false' ? false : typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value);

function fileOf(node: Node): object {
  const path: unknown = node.tryGetContext('config');
  if (typeof path !== 'string') return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as object;
  } catch (error) {
    throw new TypeError(`The configuration ${path} cannot be read as JSON (${error instanceof Error ? error.message : String(error)}).`, { cause: error });
  }
}
