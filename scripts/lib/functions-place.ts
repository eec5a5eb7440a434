// The functions of a deployment in this process, over emulators: what their environment holds, and requests on the way there.

import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { Environment } from '../../functions/commons/settings.ts';
import { LOSSES_KEPT_DAYS } from '../../src/adapters/aws/ledger.ts';
import type { RegionId } from '../../src/core/version/dot.ts';

/** The only account that fauxqs knows. */
export const ACCOUNT = '000000000000';
export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };
export const ADMIN_KEY = 'ak_admin_0123456789abcdefghijklmn';

export interface FunctionsPlace {
  readonly deployment: string;
  readonly regions: readonly RegionId[];
  /** Endpoints; of Lambda and the parameter store together. */
  readonly dynamo: string;
  readonly sqs: string;
  readonly services: string;
}

/** Environment variables of one region's functions, as its stack sets them, and those by which the SDK finds the emulators. */
export const environmentOf = ({ deployment, regions, dynamo, sqs, services }: FunctionsPlace, region: RegionId): Environment & Readonly<Record<string, string>> => ({
  ARCHIPEL_DEPLOYMENT: deployment,
  ARCHIPEL_REGIONS: regions.join(','),
  ARCHIPEL_REPLICAS: '3',
  ARCHIPEL_LEDGER_DAYS: String(LOSSES_KEPT_DAYS),
  ARCHIPEL_PARTITION: 'aws',
  ARCHIPEL_ACCOUNT: ACCOUNT,
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  // Emulators share two cores with everything else.
  ATTEMPT_MS: '20000',
  AWS_ENDPOINT_URL_DYNAMODB: dynamo,
  AWS_ENDPOINT_URL_DYNAMODB_STREAMS: dynamo,
  AWS_ENDPOINT_URL_SQS: sqs,
  AWS_ENDPOINT_URL_LAMBDA: services,
  AWS_ENDPOINT_URL_SSM: services,
});

export async function bytesOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** Without a timer of its own, as `fetch` has them. */
export const post = (url: string, headers: OutgoingHttpHeaders, body: Buffer): Promise<{ readonly status: number; readonly bytes: Buffer }> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: 'POST', headers: { ...headers, 'content-length': body.length } }, (answer) => {
      bytesOf(answer).then((bytes) => resolve({ status: answer.statusCode ?? 500, bytes }), reject);
    });
    request.once('error', reject);
    request.end(body);
  });
