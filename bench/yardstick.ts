// The yardstick: hono on its Node server with nothing behind it, in a process of its own. What of its rate our product
// keeps is what the product costs, on whatever machine this runs. `/store` keeps the value alone, durably, with the library
// that a region uses: what of a lone PUT's time is not the product's.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { ClassicLevel } from 'classic-level';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const KEYS = 10_000;

const value = randomBytes(1024);
const folder = mkdtempSync(join(tmpdir(), 'archipel-yardstick-'));
const level = new ClassicLevel<string, Uint8Array>(folder, { valueEncoding: 'view' });
await level.open();
let stored = 0;

const app = new Hono();
app.get('/hello', (context) => context.text('hello'));
app.get('/value', (context) => context.body(value));
app.put('/drop', async (context) => {
  await context.req.arrayBuffer();
  return context.body(null, 204);
});
app.put('/store', async (context) => {
  const bytes = new Uint8Array(await context.req.arrayBuffer());
  await level.batch([{ type: 'put', key: String(stored++ % KEYS), value: bytes }], { sync: true });
  return context.body(null, 204);
});

const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.argv[2]) }, () => process.send?.({ ready: true }));
process.on('disconnect', () => {
  server.close();
  void level.close().finally(() => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(0);
  });
});
