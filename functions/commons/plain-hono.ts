// In the place of @hono/zod-openapi in the edge's bundle: the edge describes no routes and validates no bodies, so it
// needs the router alone, a tenth of the size, and of hono's routers the smallest: it has a handful of routes.

export { Hono as OpenAPIHono } from 'hono/tiny';
