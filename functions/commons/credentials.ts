// In the place of the SDK's chain of credential providers, which bundles leave out: Lambda gives credentials in the
// environment and nowhere else, and the chain is a quarter of a bundle and a third of the time that it takes to load.

import type { DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';

export const defaultProvider = (): Extract<DynamoDBClientConfig['credentials'], () => unknown> => async () => {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = process.env;
  if (accessKeyId === undefined || secretAccessKey === undefined) throw new TypeError('The environment holds no credentials.');
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
};
