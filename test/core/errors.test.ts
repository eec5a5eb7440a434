import { describe, expect, it } from 'vitest';
import { ArchipelError, invariant, isArchipelError } from '../../src/core/errors.ts';

describe('errors', () => {
  it('carry a code, details, a cause, and whether a retry can help', () => {
    const cause = new Error('disk');
    const error = new ArchipelError('storage-full', 'No room.', { bytes: 7 }, cause);
    expect(error).toMatchObject({ name: 'ArchipelError', code: 'storage-full', message: 'No room.', details: { bytes: 7 }, retryable: true, cause });
    expect(new ArchipelError('not-found', 'Nothing there.').retryable).toBe(false);
    expect('cause' in new ArchipelError('not-found', 'Nothing there.')).toBe(false);
  });

  it('a refusal that will be the same again is terminal, an unknown outcome is not', () => {
    const terminal = ['precondition-failed', 'key-too-long', 'idempotency-key-reused', 'operation-expired', 'too-many-siblings', 'topology-older'] as const;
    expect(terminal.filter((code) => new ArchipelError(code, '').retryable)).toEqual([]);
    const retryable = ['write-outcome-unknown', 'clock-unsafe', 'region-draining', 'peer-unreachable'] as const;
    expect(retryable.filter((code) => !new ArchipelError(code, '').retryable)).toEqual([]);
  });

  it('are recognised by code', () => {
    const error: unknown = new ArchipelError('not-found', 'Nothing there.');
    expect([isArchipelError(error), isArchipelError(error, 'not-found'), isArchipelError(error, 'internal'), isArchipelError(new Error('not-found'))]).toEqual([true, true, false, false]);
  });

  it('an invariant holds or throws, in production too', () => {
    expect(() => invariant(true, 'fine')).not.toThrow();
    expect(() => invariant(undefined, 'the map has the key')).toThrow('Invariant broken: the map has the key');
  });
});
