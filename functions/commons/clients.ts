// The clients of AWS that a function holds, made when it is loaded and never within an invocation. Those of other regions
// are told apart by their region; an endpoint can be given by the SDK's own environment variables, as tests do.

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SQSClient } from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { CLIENT_SETTINGS } from '../../src/adapters/aws/failures.ts';
import { SQS_CLIENT_SETTINGS } from '../../src/adapters/aws/sqs-queue.ts';
import type { RegionId } from '../../src/core/version/dot.ts';
import { EDGE_ATTEMPT_MS } from '../../src/core/limits.ts';

/** An attempt may take so long. Tests give emulators more, which share two cores with everything else. */
const attemptMs = Number(process.env['ATTEMPT_MS'] ?? EDGE_ATTEMPT_MS);

const within = (requestTimeout: number): { requestHandler: { connectionTimeout: number; requestTimeout: number; throwOnRequestTimeout: true } } => ({
  requestHandler: { connectionTimeout: EDGE_ATTEMPT_MS, requestTimeout, throwOnRequestTimeout: true },
});

export const dynamoClient = (region: RegionId): DynamoDBClient => new DynamoDBClient({ region, ...CLIENT_SETTINGS, ...within(attemptMs) });

/** Of the interface of Streams, which has no client here. The variables are the SDK's. */
export const streamsEndpoint = (region: RegionId): string => process.env['AWS_ENDPOINT_URL_DYNAMODB_STREAMS'] ?? process.env['AWS_ENDPOINT_URL'] ?? `https://streams.dynamodb.${region}.amazonaws.com`;

/** One attempt: a message that a peer's queue does not take in time becomes a hint. */
export const sqsClient = (region: RegionId): SQSClient => new SQSClient({ region, ...CLIENT_SETTINGS, ...SQS_CLIENT_SETTINGS, ...within(attemptMs) });

/** Each question has its own deadline. */
export const lambdaClient = (region: RegionId): LambdaClient => new LambdaClient({ region, ...CLIENT_SETTINGS });

/** Read at a cold start only: here the SDK retries. Its quota, 40 calls a second, is shared by everybody. */
export const ssmClient = (region: RegionId): SSMClient => new SSMClient({ region, maxAttempts: 5, ...within(attemptMs) });
