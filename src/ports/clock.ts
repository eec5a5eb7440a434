// Time. The only way to learn it or to wait: core, engine and http never touch Date, performance or timers, so that a
// simulation can own them.

export interface Clock {
  /** Milliseconds since 1970 of a clock that people and NTP set: it may step either way at any moment. */
  wallMs(): number;
  /** The wall is known to be wrong: somebody who keeps the right time has told another. Left out where nobody does. */
  isWrong?(): boolean;
  /** Milliseconds of a clock that only goes forward, from any origin; a fraction is allowed. It may stop while the machine sleeps. */
  monotonicMs(): number;
  /** Calls `task` once, not before `delayMs` of monotonic time; the answer takes it back. A waiting task alone keeps no process alive. */
  after(delayMs: number, task: () => void): Cancel;
}

export type Cancel = () => void;

/** Resolves after the delay; resolves early, without an error, when the signal aborts. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const finish = (): void => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal?.addEventListener('abort', finish);
  });
}

/** Rejects with `error()` when the promise has not settled in time; what the promise does later is ignored. */
export function withDeadline<T>(clock: Clock, promise: Promise<T>, delayMs: number, error: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(delayMs, () => reject(error()));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (reason: unknown) => {
        cancel();
        reject(reason instanceof Error ? reason : new Error(String(reason)));
      },
    );
  });
}
