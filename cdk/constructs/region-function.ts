// One function of a region: its name, its role with the rights that it is given here and no others, its log.

import { RemovalPolicy, Stack, type Duration } from 'aws-cdk-lib';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime, type EventSourceMappingOptions } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { join } from 'node:path';
import { names, type FunctionName } from '../../src/adapters/aws/names.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import type { Environment } from '../../functions/commons/settings.ts';
import type { Deployment } from '../deployment.ts';
import { logRetention } from './log-retention.ts';

export interface Right {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

export interface RegionFunctionProps {
  readonly deployment: Deployment;
  readonly region: RegionId;
  /** The folder of the bundles. */
  readonly code: string;
  readonly what: FunctionName;
  readonly rights: readonly Right[];
  readonly memoryMb: number;
  readonly timeout: Duration;
}

export class RegionFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, { deployment, region, code, what, rights, memoryMb, timeout }: RegionFunctionProps) {
    super(scope, what);
    const functionName = names.function(deployment.name, what, region);
    const logGroup = new LogGroup(this, 'Log', { logGroupName: `/aws/lambda/${functionName}`, retention: logRetention(deployment), removalPolicy: RemovalPolicy.DESTROY });
    const writeLog: Right = { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] };
    this.role = new Role(this, 'Role', {
      roleName: functionName,
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      // Part of the role itself, so that whatever is made with the role finds its rights.
      inlinePolicies: { rights: new PolicyDocument({ statements: [writeLog, ...rights].filter(({ resources }) => resources.length > 0).map(statement) }) },
    });
    this.function = new LambdaFunction(this, 'Function', {
      functionName,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: Code.fromAsset(join(code, what)),
      role: this.role,
      logGroup,
      memorySize: memoryMb,
      timeout,
      environment: { ...environmentOf(deployment, Stack.of(this)) },
    });
  }

  consume(id: string, options: EventSourceMappingOptions): void {
    this.function.addEventSourceMapping(id, options);
  }
}

const environmentOf = ({ name, regions, replicas, retention }: Deployment, { partition, account }: Stack): Environment => ({
  ARCHIPEL_DEPLOYMENT: name,
  ARCHIPEL_REGIONS: regions.join(','),
  ARCHIPEL_REPLICAS: String(replicas),
  ARCHIPEL_LEDGER_DAYS: String(retention.ledgerDays),
  ARCHIPEL_PARTITION: partition,
  ARCHIPEL_ACCOUNT: account,
});

const statement = ({ actions, resources }: Right): PolicyStatement => new PolicyStatement({ actions: [...actions], resources: [...resources] });
