// What a check prints: each claim with what was seen, and an exit code.

export class Report {
  readonly #title: string;
  readonly #startedMs = performance.now();
  #failed = 0;

  constructor(title: string) {
    this.#title = title;
    console.log(`\n${title}`);
  }

  check(claim: string, holds: boolean, seen: string | number = ''): void {
    if (!holds) this.#failed++;
    console.log(`  ${holds ? 'ok  ' : 'FAIL'} ${claim}${seen === '' ? '' : ` (${seen})`}`);
  }

  note(text: string): void {
    console.log(`       ${text}`);
  }

  /** Prints the verdict; the process ends with 1 when a claim did not hold. */
  end(): void {
    const seconds = ((performance.now() - this.#startedMs) / 1_000).toFixed(1);
    console.log(`  ${this.#failed === 0 ? 'passed' : `FAILED: ${this.#failed}`} in ${seconds} s: ${this.#title}`);
    if (this.#failed > 0) process.exitCode = 1;
  }
}

export const isQuick = process.argv.includes('--quick');

/** Runs tasks with at most so many under way. */
export async function inParallel<T>(items: readonly T[], width: number, task: (item: T, at: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      const at = next++;
      if (at >= items.length) return;
      await task(items[at] as T, at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}

export const ms = (value: number): string => `${value.toFixed(0)} ms`;
