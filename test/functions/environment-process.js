// The process of an environment: loads a bundle, and hands what it is sent to the handler, one event after the other. Not of
// TypeScript, and what was compiled is kept for the next, because a killed one keeps nothing: both cost more than the rest.

import { flushCompileCache } from 'node:module';

const { handler } = await import(process.argv[2]);
flushCompileCache();

process.on('message', ({ event }) => {
  handler(event).then(
    (answer) => process.send({ answer }),
    (error) => process.send({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send('ready');
