// Where a service of AWS is called that has no client of the SDK here.

import type { RegionId } from '../../src/core/version/dot.ts';

/** As the SDK names its variable, which is what tests set, and as the service names its host. */
export interface Service {
  readonly variable: string;
  readonly host: string;
}

export const endpointOf = ({ variable, host }: Service, region: RegionId): string => process.env[`AWS_ENDPOINT_URL_${variable}`] ?? process.env['AWS_ENDPOINT_URL'] ?? `https://${host}.${region}.amazonaws.com`;
