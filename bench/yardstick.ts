// The yardstick: hono on its Node server with nothing behind it, in a process of its own. What of its rate our product
// keeps is what the product costs, on whatever machine this runs.

import { randomBytes } from 'node:crypto';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const value = randomBytes(1024);

const app = new Hono();
app.get('/hello', (context) => context.text('hello'));
app.get('/value', (context) => context.body(value));
app.put('/drop', async (context) => {
  await context.req.arrayBuffer();
  return context.body(null, 204);
});

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.argv[2]) }, () => process.send?.({ ready: true }));
process.on('disconnect', () => {
  server.close();
  process.exit(0);
});
