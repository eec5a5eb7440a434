// The CDK app as for an account, but that the command line publishes with its own credentials: where the emulator enforces
// rights, it refuses the role that CDK would publish with.

import { App, CliCredentialsStackSynthesizer, type IReusableStackSynthesizer } from 'aws-cdk-lib';
import { bundle } from '../../cdk/bundle.ts';
import { addStacks } from '../../cdk/stacks.ts';

const app = new App({ analyticsReporting: false, defaultStackSynthesizer: new CliCredentialsStackSynthesizer() as unknown as IReusableStackSynthesizer });
addStacks(app, await bundle('dist/functions'));
app.synth();
