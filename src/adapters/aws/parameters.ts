// Secrets by name, from the parameter store of the region. Read once per environment, and kept: a region goes on
// answering while they cannot be read again.

import { GetParametersCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { ArchipelError } from '../../core/errors.ts';

/** In the order of the names. @throws ArchipelError `storage-unavailable` when one is not there */
export async function readSecrets<const Names extends readonly string[]>(client: SSMClient, names: Names): Promise<{ readonly [index in keyof Names]: string }> {
  const { Parameters = [] } = await client.send(new GetParametersCommand({ Names: [...names], WithDecryption: true }));
  const values = names.map((name) => {
    const value = Parameters.find(({ Name }) => Name === name)?.Value;
    if (value === undefined) throw new ArchipelError('storage-unavailable', `There is no parameter ${name} in this region.`);
    return value;
  });
  return values as { readonly [index in keyof Names]: string };
}
