// A function by schedule, to the minute. The role may invoke this one function.

import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnSchedule } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import type { RegionFunction } from './region-function.ts';

export interface ScheduledProps {
  readonly name: string;
  readonly target: RegionFunction;
  /** `rate(1 minute)`, `rate(1 hour)`: the singular where it is one. */
  readonly every: string;
  /** When it starts may differ by this much, so that regions do not all begin at once. */
  readonly withinMinutes?: number;
  readonly input: Readonly<Record<string, string>>;
}

export class Scheduled extends Construct {
  constructor(scope: Construct, id: string, { name, target, every, withinMinutes, input }: ScheduledProps) {
    super(scope, id);
    const { functionArn } = target.function;
    const role = new Role(this, 'Role', {
      roleName: name,
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com'),
      inlinePolicies: { invoke: new PolicyDocument({ statements: [new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [functionArn] })] }) },
    });
    new CfnSchedule(this, 'Schedule', {
      name,
      scheduleExpression: every,
      flexibleTimeWindow: withinMinutes === undefined ? { mode: 'OFF' } : { mode: 'FLEXIBLE', maximumWindowInMinutes: withinMinutes },
      target: {
        arn: functionArn,
        roleArn: role.roleArn,
        input: JSON.stringify({ ...input, scheduled: '<aws.scheduler.scheduled-time>' }),
        retryPolicy: { maximumEventAgeInSeconds: 60, maximumRetryAttempts: 1 },
      },
    });
  }
}
