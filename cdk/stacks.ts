// The deployment: a stack per region, none of which refers to another, and one for the edge, which refers to all.

import type { App } from 'aws-cdk-lib';
import { deploymentOf, type Deployment } from './deployment.ts';
import { EdgeStack } from './edge-stack.ts';
import { RegionStack } from './region-stack.ts';

export interface Stacks {
  readonly deployment: Deployment;
  readonly regions: readonly RegionStack[];
  readonly edge: EdgeStack;
}

/** `code`: the folder of the bundles. */
export function addStacks(app: App, code: string): Stacks {
  const deployment = deploymentOf(app.node);
  const regions = deployment.regions.map((region) => new RegionStack(app, { deployment, region, code }));
  return { deployment, regions, edge: new EdgeStack(app, { deployment, regions, code }) };
}
