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

export interface Hedge<T> {
  readonly clock: Clock;
  /** The second is asked when the first has not answered for so long. */
  readonly afterMs: number;
  readonly first: () => Promise<T>;
  readonly second: () => Promise<T>;
  /** An answer that is none is like a failure: the other one may do better. */
  readonly isGood: (answer: T) => boolean;
}

export interface Hedged<T> {
  readonly answer: T;
  readonly isSecond: boolean;
}

/** The first good answer of the two; where none is, what became of the first. One that fails before its time is up is not hedged. */
export function hedged<T>({ clock, afterMs, first, second, isGood }: Hedge<T>): Promise<Hedged<T>> {
  return new Promise((resolve, reject) => {
    let left = 1;
    let ofFirst: (() => void) | undefined;
    const ask = (who: () => Promise<T>, isSecond: boolean): void => {
      const spent = (settle: () => void): void => {
        if (!isSecond) ofFirst = settle;
        if (--left > 0) return;
        cancel();
        (ofFirst ?? settle)();
      };
      who().then(
        (answer) => {
          const settle = (): void => resolve({ answer, isSecond });
          if (!isGood(answer)) return spent(settle);
          cancel();
          settle();
        },
        (error: unknown) => spent(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    };
    const cancel = clock.after(afterMs, () => {
      left++;
      ask(second, true);
    });
    ask(first, false);
  });
}
