// The edge: CloudFront, and Lambda@Edge in its origin-request event, which asks the regions itself. It is the only stack
// that refers to others, weakly: it learns the addresses of their functions when it is deployed, and holds none of them up.

import { CfnOutput, Duration, Fn, RemovalPolicy, Stack, type App } from 'aws-cdk-lib';
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  HttpVersion,
  LambdaEdgeEventType,
  OriginProtocolPolicy,
  OriginRequestCookieBehavior,
  OriginRequestHeaderBehavior,
  OriginRequestPolicy,
  OriginRequestQueryStringBehavior,
  SecurityPolicyProtocol,
  ViewerProtocolPolicy,
  type DistributionProps,
} from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { CompositePrincipal, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime, type IVersion } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { join } from 'node:path';
import { names, REGIONS_FIELD } from '../src/adapters/aws/names.ts';
import { logRetention } from './constructs/log-retention.ts';
import { EDGE_REGION, HOST_OUTPUT, type Deployment, type Domain } from './deployment.ts';
import type { RegionStack } from './region-stack.ts';

export interface EdgeStackProps {
  readonly deployment: Deployment;
  readonly regions: readonly RegionStack[];
  /** The folder of the bundles. */
  readonly code: string;
}

export class EdgeStack extends Stack {
  constructor(app: App, { deployment, regions, code }: EdgeStackProps) {
    super(app, `${deployment.name}-edge`, { env: { region: EDGE_REGION }, description: `Archipel ${deployment.name}: edge` });
    const edge = this.#function(deployment, code);
    for (const region of regions) this.addStackDependency(region);
    const [first] = regions;
    if (first === undefined) throw new TypeError('A deployment has at least one region.');
    const distribution = new Distribution(this, 'Distribution', {
      comment: `Archipel ${deployment.name}`,
      httpVersion: HttpVersion.HTTP2_AND_3,
      ...(deployment.domain === undefined ? {} : this.#own(deployment.domain)),
      defaultBehavior: {
        // Never asked: the function answers in its place. But CloudFront resolves its name before it calls the function.
        origin: new HttpOrigin(hostOf(first), { protocolPolicy: OriginProtocolPolicy.HTTPS_ONLY, customHeaders: { [REGIONS_FIELD]: regionsField(regions) } }),
        allowedMethods: AllowedMethods.ALLOW_ALL,
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        compress: false,
        originRequestPolicy: new OriginRequestPolicy(this, 'ToEdge', {
          originRequestPolicyName: names.edge(deployment.name),
          comment: 'Everything that the viewer sent, and where the viewer is',
          headerBehavior: OriginRequestHeaderBehavior.all('CloudFront-Viewer-Latitude', 'CloudFront-Viewer-Longitude', 'CloudFront-Viewer-Country'),
          queryStringBehavior: OriginRequestQueryStringBehavior.all(),
          cookieBehavior: OriginRequestCookieBehavior.none(),
        }),
        edgeLambdas: [{ eventType: LambdaEdgeEventType.ORIGIN_REQUEST, functionVersion: edge.currentVersion as IVersion, includeBody: true }],
      },
    });
    new CfnOutput(this, 'Domain', { value: distribution.distributionDomainName, description: 'Where clients reach the deployment, and what the record of a domain of your own leads to' });
  }

  /** A domain of one's own chooses the least TLS, too: of CloudFront's own name, CloudFront does. */
  #own({ name, certificateArn }: Domain): Pick<DistributionProps, 'domainNames' | 'certificate' | 'minimumProtocolVersion'> {
    return { domainNames: [name], certificate: Certificate.fromCertificateArn(this, 'Certificate', certificateArn), minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021 };
  }

  /** x86, no environment variables, a numbered version, at most 30 seconds: what Lambda@Edge takes. */
  #function(deployment: Deployment, code: string): LambdaFunction {
    const functionName = names.edge(deployment.name);
    const logGroupName = `/aws/lambda/${functionName}`;
    const logGroup = new LogGroup(this, 'Log', { logGroupName, retention: logRetention(deployment), removalPolicy: RemovalPolicy.DESTROY });
    // Replicas log in the region that they run in, whichever that is, and make the group there.
    const logs = new PolicyStatement({ actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'], resources: [`arn:${this.partition}:logs:*:${this.account}:log-group:${logGroupName}:*`] });
    const role = new Role(this, 'Role', {
      roleName: functionName,
      assumedBy: new CompositePrincipal(new ServicePrincipal('lambda.amazonaws.com'), new ServicePrincipal('edgelambda.amazonaws.com')),
      inlinePolicies: { rights: new PolicyDocument({ statements: [logs] }) },
    });
    return new LambdaFunction(this, 'Function', {
      functionName,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.X86_64,
      handler: 'index.handler',
      code: Code.fromAsset(join(code, 'edge')),
      role,
      logGroup,
      memorySize: 256,
      timeout: Duration.seconds(30),
      // Replicas outlive the association by hours, and a version cannot go before they have.
      currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN },
    });
  }
}

/** Weak: read when this stack is deployed, and no hindrance to any change of the other. */
const hostOf = ({ stackName, regionId }: RegionStack): string => Fn.getStackOutput(stackName, HOST_OUTPUT, regionId);

const regionsField = (regions: readonly RegionStack[]): string => regions.map((region) => `${region.regionId}=${hostOf(region)}`).join(',');
