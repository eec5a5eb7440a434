// What everything is called. Names are made from the deployment's name and the region alone, so that regions know each
// other's queues and functions without asking, and no stack has to refer to another.
//
//   <deployment>-<what>-<region>     archipel-inbox-eu-central-1, archipel-hints-us-east-1-eu-central-1

import { isRegionId, type RegionId } from '../../core/version/dot.ts';

/** The seven functions of a region; `edge` has none. The verbs are those of the engine. */
export const FUNCTIONS = ['api', 'peer', 'fan-out', 'apply', 'forward', 'reconcile', 'heartbeat'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** The OpenAPI document beside the bundles that answer it, deflated: a sixteenth. */
export const OPENAPI_FILE = 'openapi.json.deflated';

/** Where names live: values on Lambda, tokens in a template. */
export interface Place {
  readonly deployment: string;
  readonly partition: string;
  readonly account: string;
}

/** Longest: `<deployment>-heartbeat-ap-southeast-2`, of the 64 characters of a function or role. */
export const DEPLOYMENT = /^[a-z][a-z0-9-]{0,19}$/;

export const names = {
  table: (deployment: string, region: RegionId): string => `${deployment}-${region}`,
  inbox: (deployment: string, region: RegionId): string => `${deployment}-inbox-${region}`,
  dead: (deployment: string, region: RegionId): string => `${deployment}-dead-${region}`,
  /** What `region` keeps for `peer`. */
  hints: (deployment: string, region: RegionId, peer: RegionId): string => `${deployment}-hints-${region}-${peer}`,
  function: (deployment: string, what: FunctionName, region: RegionId): string => `${deployment}-${what}-${region}`,
  edge: (deployment: string): string => `${deployment}-edge`,
  /** Parameters, by name, of each region: made before the first deploy, never by a template. */
  secret: (deployment: string): string => `/archipel/${deployment}/secret`,
  adminKey: (deployment: string): string => `/archipel/${deployment}/admin-key`,
} as const;

/** Of the request that reaches the edge's function, added by the distribution: `eu-central-1=<host>,us-east-1=<host>`. */
export const REGIONS_FIELD = 'archipel-regions';

export const arns = {
  queue: ({ partition, account }: Place, region: RegionId, name: string): string => `arn:${partition}:sqs:${region}:${account}:${name}`,
  function: ({ deployment, partition, account }: Place, what: FunctionName, region: RegionId): string =>
    `arn:${partition}:lambda:${region}:${account}:function:${names.function(deployment, what, region)}`,
  parameter: ({ partition, account }: Place, region: RegionId, name: string): string => `arn:${partition}:ssm:${region}:${account}:parameter${name}`,
} as const;

export const queueUrl = ({ account }: Place, region: RegionId, name: string): string => `https://sqs.${region}.amazonaws.com/${account}/${name}`;

/** Whose hints a queue holds, from the ARN in an event. */
export function peerOfHints(deployment: string, region: RegionId, queueArn: string): RegionId | undefined {
  const name = queueArn.slice(queueArn.lastIndexOf(':') + 1);
  const start = names.hints(deployment, region, '' as RegionId);
  const peer = name.startsWith(start) ? name.slice(start.length) : '';
  return isRegionId(peer) ? peer : undefined;
}
