// In the place of the rules by which the SDK's clients find an endpoint: they know accounts with an endpoint of their own, FIPS,
// dual stack and the partitions of AWS, none of which is asked for here.

import type { RegionId } from '../../src/core/version/dot.ts';
import { endpointOf, type Service } from './endpoints.ts';

interface Asked {
  /** Set, or found in the environment. */
  readonly Endpoint?: string;
  readonly Region?: string;
  readonly UseFIPS?: boolean;
  readonly UseDualStack?: boolean;
}

interface Endpoint {
  readonly url: URL;
  readonly properties: Readonly<Record<string, never>>;
  readonly headers: Readonly<Record<string, never>>;
}

export const plainEndpoint = (service: Service): ((asked: Asked) => Endpoint) => {
  const known = new Map<string, Endpoint>();
  return ({ Endpoint, Region, UseFIPS = false, UseDualStack = false }) => {
    if (UseFIPS || UseDualStack || Region === undefined) throw new TypeError('Only the plain endpoint of a region is known here.');
    const at = Endpoint ?? endpointOf(service, Region as RegionId);
    const endpoint = known.get(at) ?? { url: new URL(at), properties: {}, headers: {} };
    known.set(at, endpoint);
    return endpoint;
  };
};
