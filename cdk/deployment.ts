// What a deployment is: read from the context of cdk.json, or from `--context` on the command line.

import type { Node } from 'constructs';
import { DEPLOYMENT } from '../src/adapters/aws/names.ts';
import { parseRegions } from '../src/config/options.ts';
import type { RegionId } from '../src/core/version/dot.ts';

export interface Deployment {
  /** What the names of all resources begin with. */
  readonly name: string;
  readonly regions: readonly RegionId[];
  /** Of collections that do not say how many regions hold them. */
  readonly replicas: number;
}

/** The edge lives in one region of its own: CloudFront takes its functions from there. */
export const EDGE_REGION = 'us-east-1';

/** @throws TypeError, ArchipelError `bad-request` with a sentence for people */
export function deploymentOf(node: Node): Deployment {
  const name = String(node.getContext('deployment'));
  const replicas = Number(node.getContext('replicas'));
  if (!DEPLOYMENT.test(name)) throw new TypeError(`A deployment's name has 1 to 20 of a-z 0-9 -, and begins with a letter, not ${JSON.stringify(name)}.`);
  if (!Number.isInteger(replicas) || replicas < 1) throw new TypeError('replicas is a whole number from 1.');
  return { name, regions: parseRegions(String(node.getContext('regions'))), replicas };
}
