// How a figure grows with the size of what it is measured on.

export type Point = readonly [x: number, y: number];

/** What noise may add to a logarithm. */
const TOLERANCE = 1.5;

export interface Growth {
  /** Of y = c x^exponent through the first and the last point: 0 is constant, 1 linear. */
  readonly exponent: number;
  readonly isWorseThanLogarithmic: boolean;
}

/** Undefined for less than two points. Points in ascending order of x, which is above 1. */
export function growthOf(points: readonly Point[]): Growth | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first[0] === last[0]) return undefined;
  const times = last[1] / first[1];
  const logarithmic = Math.log(last[0]) / Math.log(first[0]);
  return { exponent: Math.log(times) / Math.log(last[0] / first[0]), isWorseThanLogarithmic: times > logarithmic * TOLERANCE };
}
