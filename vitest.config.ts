import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores: more workers only fight over them. Tests that start processes say so with a longer timeout of their own.
    pool: 'forks',
    maxWorkers: 2,
    // Against what hangs. How long a test takes says more of the machine than of the test.
    testTimeout: 60_000,
  },
});
