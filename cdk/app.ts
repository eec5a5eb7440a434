// The program that the CDK runs: bundles, stacks, templates.

import { App } from 'aws-cdk-lib';
import { bundle } from './bundle.ts';
import { addStacks } from './stacks.ts';

const app = new App({ analyticsReporting: false });
addStacks(app, await bundle('dist/functions'));
app.synth();
