// `api`: answers clients, behind a function URL. Reads the region's copy, decides and commits writes locally; what it
// commits, the table's stream carries on.

import type { APIGatewayProxyStructuredResultV2, LambdaFunctionURLEvent } from 'aws-lambda';
import { openApp } from './commons/app.ts';
import { requestOf, resultOf } from './commons/function-url.ts';
import { Once } from './commons/once.ts';

const app = new Once(openApp);

export async function handler(event: LambdaFunctionURLEvent): Promise<APIGatewayProxyStructuredResultV2> {
  const { invoke, fetch, problem } = await app.get();
  return invoke(async () => {
    try {
      const { request, rawTarget } = requestOf(event);
      return await resultOf(await fetch(request, { rawTarget }));
    } catch (error) {
      return resultOf(problem(error));
    }
  });
}
