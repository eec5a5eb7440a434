// The clients of AWS that a function holds, made when it is loaded and never within an invocation. Those of other regions
// are told apart by their region; an endpoint can be given by the SDK's own environment variables, as tests do.

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SQSClient } from '@aws-sdk/client-sqs';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { SignedCalls } from '../../src/adapters/aws/signed-calls.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { EDGE_ATTEMPT_MS } from '../../src/core/limits.ts';
import { defaultProvider } from './credentials.ts';
import { endpointOf, type Service } from './endpoints.ts';

/** An attempt may take so long. Tests give emulators more, which share two cores with everything else. */
const attemptMs = Number(process.env['ATTEMPT_MS'] ?? EDGE_ATTEMPT_MS);

const within = (requestTimeout: number): { requestHandler: { connectionTimeout: number; requestTimeout: number; throwOnRequestTimeout: true } } => ({
  requestHandler: { connectionTimeout: EDGE_ATTEMPT_MS, requestTimeout, throwOnRequestTimeout: true },
});

export const dynamoClient = (region: RegionId): DynamoDBClient => new DynamoDBClient({ region, ...CLIENT_SETTINGS, ...within(attemptMs) });

const signedCalls = (service: string, region: RegionId, at: Service): SignedCalls =>
  new SignedCalls({ service, region, endpoint: endpointOf(at, region), credentials: defaultProvider(), connectionMs: EDGE_ATTEMPT_MS, attemptMs });

export const streamCalls = (region: RegionId): SignedCalls => signedCalls('dynamodb', region, { variable: 'DYNAMODB_STREAMS', host: 'streams.dynamodb' });

/** One attempt: a message that a peer's queue does not take in time becomes a hint. */
export const sqsClient = (region: RegionId): SQSClient => new SQSClient({ region, ...CLIENT_SETTINGS, ...SQS_CLIENT_SETTINGS, ...within(attemptMs) });

/** Each question has its own deadline. */
export const lambdaCalls = (region: RegionId): SignedCalls => signedCalls('lambda', region, { variable: 'LAMBDA', host: 'lambda' });

export const parameterCalls = (region: RegionId): SignedCalls => signedCalls('ssm', region, { variable: 'SSM', host: 'ssm' });
