// In the place of the SDK's cache of endpoints that were discovered, which needs a library of its own: a table has one
// endpoint, and discovery is off unless somebody asks for it.

export class EndpointCache {
  get(): undefined {
    return undefined;
  }
}
