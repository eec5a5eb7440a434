// The little statistics that a benchmark needs.

/** Of numbers in ascending order. */
export const quantile = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

export const median = (values: readonly number[]): number => quantile([...values].sort((a, b) => a - b), 0.5);
