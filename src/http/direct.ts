// A door beside hono for the two requests that nearly all are: GET and PUT of one item whose name needs no escape. What
// happens behind it is the same (the route's guard, its handler, its problems); only the general ways of finding the route
// and of making a Request and a Response are left out, which cost more than the rest of a GET. Whatever is the least
// unusual goes in by the main door; a test sends the same requests to both and demands the same answers.

import type { Asked } from './call.ts';
import type { Reply } from './reply.ts';
import type { Route, Router } from './router.ts';

/** Undefined: this one belongs to the main door. */
export type DirectDoor = (asked: Asked) => Promise<Reply> | undefined;

const ITEM = /^\/v1\/c\/[A-Za-z0-9_.-]+\/items\/[A-Za-z0-9_.:~-]+(\/[A-Za-z0-9_.:~-]+)?$/;

export function directDoor(router: Router): DirectDoor {
  const find = (method: Route['method'], path: string): Route => {
    const route = router.routes.find((each) => each.method === method && each.path === path);
    if (route === undefined) throw new TypeError(`There is no route ${method} ${path}.`);
    return route;
  };
  const routesOf = (method: Route['method']) => [find(method, '/v1/c/{collection}/items/{pk}'), find(method, '/v1/c/{collection}/items/{pk}/{sk}')] as const;
  const routes = new Map([['GET', routesOf('get')], ['PUT', routesOf('put')]]);
  return (asked) => {
    const match = ITEM.exec(asked.rawTarget);
    const [withPk, withSk] = routes.get(asked.method) ?? [];
    const route = match?.[1] === undefined ? withPk : withSk;
    return match === null || route === undefined ? undefined : router.run(route, asked);
  };
}
