// `edge`: Lambda@Edge behind CloudFront's origin-request event. It does not choose an origin, it asks the regions itself,
// because CloudFront would not send a write to another region when the first one fails. Lambda@Edge has no environment
// variables: which regions there are, and where, comes with each event, as a field that the distribution adds.

import type { CloudFrontRequestEvent, CloudFrontResultResponse } from 'aws-lambda';
import { toArchipelError, problemResponse } from '../src/http/problem.ts';
import { REGIONS_FIELD } from '../src/adapters/aws/names.ts';
import { edgeFor } from './commons/edge.ts';
import { requestOf, resultOf } from './commons/origin-request.ts';

export async function handler(event: CloudFrontRequestEvent): Promise<CloudFrontResultResponse> {
  const [record] = event.Records;
  if (record === undefined) throw new TypeError('The event has no request.');
  const { request: arrived, config } = record.cf;
  try {
    const { request, rawTarget } = requestOf(arrived);
    const app = edgeFor(arrived.origin?.custom?.customHeaders[REGIONS_FIELD]?.[0]?.value ?? '');
    return await resultOf(await app.fetch(request, { rawTarget }));
  } catch (error) {
    return resultOf(problemResponse(toArchipelError(error), { instance: config.requestId }));
  }
}
