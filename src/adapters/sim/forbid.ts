// While a simulation runs, whatever would make it depend on the machine throws: clocks, randomness, timers, the network.
// Only for code that the simulation runs; the test runner around it keeps its own.

import net from 'node:net';
import { inSimulation } from './world.ts';

export class NotDeterministicError extends Error {
  override readonly name = 'NotDeterministicError';
}

interface Target {
  readonly owner: object;
  readonly name: string;
}

const TARGETS: readonly Target[] = [
  { owner: Date, name: 'now' },
  { owner: performance, name: 'now' },
  { owner: Math, name: 'random' },
  { owner: crypto, name: 'getRandomValues' },
  { owner: crypto, name: 'randomUUID' },
  { owner: globalThis, name: 'setTimeout' },
  { owner: globalThis, name: 'setInterval' },
  { owner: globalThis, name: 'setImmediate' },
  { owner: globalThis, name: 'fetch' },
  { owner: net.Socket.prototype, name: 'connect' },
];

let users = 0;
let undo: (() => void)[] = [];

/** Forbids until the answer is called. Runs may overlap; the last to end gives everything back. */
export function forbid(): () => void {
  if (users++ === 0) undo = TARGETS.map(replace);
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    if (--users > 0) return;
    for (const restore of undo) restore();
    undo = [];
  };
}

function replace({ owner, name }: Target): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  const original = (owner as Record<string, (...args: unknown[]) => unknown>)[name] as (...args: unknown[]) => unknown;
  Object.defineProperty(owner, name, {
    configurable: true,
    writable: true,
    enumerable: before?.enumerable ?? true,
    value: function (this: unknown, ...args: unknown[]): unknown {
      if (inSimulation.getStore() === true) throw new NotDeterministicError(`${name} was called inside a simulation: use the ports.`);
      return original.apply(this, args);
    },
  });
  return () => {
    if (before === undefined) delete (owner as Record<string, unknown>)[name];
    else Object.defineProperty(owner, name, before);
  };
}
