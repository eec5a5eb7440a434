// The deployment: a stack per region, none of which refers to another, and one for the edge, which refers to all.

import { App } from 'aws-cdk-lib';
import { bundle } from './bundle.ts';
import { deploymentOf } from './deployment.ts';
import { EdgeStack } from './edge-stack.ts';
import { RegionStack } from './region-stack.ts';

const app = new App({ analyticsReporting: false });
const deployment = deploymentOf(app.node);
const code = await bundle('dist/functions');
const regions = deployment.regions.map((region) => new RegionStack(app, { deployment, region, code }));
new EdgeStack(app, { deployment, regions, code });
app.synth();
