// RFC 7396, JSON merge patch. Objects are made without a prototype, so that a member called __proto__ is a member.

import { isRawNumber } from './json.ts';

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value);

export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = Object.create(null) as Json;
  if (isObject(target)) for (const name of Object.keys(target)) define(merged, name, target[name]);
  for (const name of Object.keys(patch)) {
    if (patch[name] === null) delete merged[name];
    else define(merged, name, mergePatch(Object.hasOwn(merged, name) ? merged[name] : undefined, patch[name]));
  }
  return merged;
}

function define(object: Json, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
