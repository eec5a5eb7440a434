// How long the logs of functions are kept, as the CDK says it.

import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Deployment } from '../deployment.ts';

export const logRetention = ({ retention: { logDays } }: Deployment): RetentionDays => (logDays === 'forever' ? RetentionDays.INFINITE : logDays);
