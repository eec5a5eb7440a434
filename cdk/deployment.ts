// What a deployment is: a configuration file (`--config FILE`), and what the command line says over it (`--regions`,
// `--name`, `--ephemeral`). Both are checked by one schema, before anything is made.

import { readFileSync } from 'node:fs';
import type { Node } from 'constructs';
import { z } from 'zod';
import { DEPLOYMENT } from '../src/adapters/aws/names.ts';
import { LOSSES_KEPT_DAYS } from '../src/adapters/aws/ledger.ts';
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
  /** How long what was is kept. What still has to be done is kept as long as SQS can: 14 days. */
  readonly retention: Retention;
  /** Who is mailed when an alarm goes off, or is over. */
  readonly alarmAddress?: string;
  /** Without one, clients go to CloudFront's own name of the distribution. */
  readonly domain?: Domain;
}

export type Days = number | 'forever';

export interface Retention {
  /** Rows of the loss ledger, from when they are written: so long a lost write is listed, explained and restored. */
  readonly ledgerDays: Days;
  /** What functions have logged. */
  readonly logDays: Days;
  /** How far back the table of a region can be restored to any second; not of a deployment for trials. */
  readonly recoveryDays: number;
}

export interface Domain {
  readonly name: string;
  /** Of a certificate that covers the name: never made here, because making one waits for a record in somebody's DNS. */
  readonly certificateArn: string;
}

/** The edge lives in one region of its own: CloudFront takes its functions from there. */
export const EDGE_REGION = 'us-east-1';

/** What a region's stack says of itself: of `https://<id>.lambda-url.<region>.on.aws/` what is between the slashes. */
export const HOST_OUTPUT = 'Host';

/** What CloudWatch Logs takes, but for ever. */
export const LOG_DAYS: readonly number[] = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/** The most that CloudWatch Logs counts. Time to live is a moment in seconds, and has no end of its own. */
export const LEDGER_DAYS_MAX = 3653;
/** Of point-in-time recovery. */
export const RECOVERY_DAYS_MAX = 35;

const FOREVER = 'forever';

const retention = z.strictObject({
  ledgerDays: z.union([z.literal(FOREVER), z.int().min(1).max(LEDGER_DAYS_MAX)], `is 1 to ${LEDGER_DAYS_MAX} days, or "${FOREVER}"`).default(LOSSES_KEPT_DAYS),
  logDays: z.union([z.literal(FOREVER), z.literal(LOG_DAYS)], `is ${LOG_DAYS.join(', ')} days, or "${FOREVER}"`).default(30),
  recoveryDays: z.int().min(1).max(RECOVERY_DAYS_MAX).default(RECOVERY_DAYS_MAX),
});

/** In lower case, with a dot; 63 characters between dots, 253 in all. */
const HOST = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/;
const CERTIFICATE = new RegExp(`^arn:aws:acm:${EDGE_REGION}:[0-9]{12}:certificate/[0-9a-z-]+$`);

const domain = z.strictObject({
  name: z.string().regex(HOST, 'is the name of a host, like kv.example.com'),
  certificateArn: z.string().regex(CERTIFICATE, `is the ARN of a certificate of ACM in ${EDGE_REGION}, where CloudFront looks for it`),
});

const configuration = z.strictObject({
  name: z.string().regex(DEPLOYMENT, 'has 1 to 20 of a-z 0-9 -, and begins with a letter').default('archipel'),
  regions: z.union([z.int(), z.string(), z.array(z.string()).min(1)]).default(3),
  replicas: z.int().min(1).max(REGIONS_MAX).default(3),
  gatherSeconds: z.int().min(0).max(GATHER_SECONDS_MAX).default(GATHER_SECONDS),
  ephemeral: z.boolean().default(false),
  retention: retention.prefault({}),
  alarmAddress: z.email().optional(),
  domain: domain.optional(),
});

/** What the command line may say over the file, by the names of the CDK's context. */
const FLAGS = { name: 'deployment', regions: 'regions', replicas: 'replicas', gatherSeconds: 'gatherSeconds', ephemeral: 'ephemeral', alarmAddress: 'alarmAddress' } as const;

/** What the CDK was told. @throws TypeError, ArchipelError `bad-request` with a sentence for people */
export const deploymentOf = (node: Node): Deployment => deploymentFrom((name) => node.tryGetContext(name) as unknown);

/** By the names of the CDK's context: `config`, and what is in FLAGS. @throws as `deploymentOf` */
export function deploymentFrom(said: (name: string) => unknown): Deployment {
  const flags = Object.entries(FLAGS).flatMap(([name, flag]) => (said(flag) === undefined ? [] : [[name, valueOf(said(flag))] as const]));
  const { success, data, error } = configuration.safeParse({ ...fileAt(said('config')), ...Object.fromEntries(flags) });
  if (!success) throw new TypeError(`The configuration of the deployment is wrong.\n${z.prettifyError(error)}`);
  const { regions, alarmAddress, domain, ...rest } = data;
  return { ...rest, regions: inOrder(parseRegions(String(regions))), ...(alarmAddress === undefined ? {} : { alarmAddress }), ...(domain === undefined ? {} : { domain }) };
}

/** The first is control, and the order of the others says nothing to anybody: so a list that somebody has sorted changes no function. */
const inOrder = ([control, ...others]: readonly RegionId[]): RegionId[] => [...(control === undefined ? [] : [control]), ...others.sort()];

/** `--context replicas=2` is text. */
const valueOf = (value: unknown): unknown => (value === 'true' ? true : value === 'false' ? false : typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value);

function fileAt(path: unknown): object {
  if (typeof path !== 'string') return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as object;
  } catch (error) {
    throw new TypeError(`The configuration ${path} cannot be read as JSON (${error instanceof Error ? error.message : String(error)}).`, { cause: error });
  }
}
