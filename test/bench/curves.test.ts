import { describe, expect, it } from 'vitest';
import { asked, type Asked } from '../../bench/lib/options.ts';
import { growthOf } from '../../bench/lib/growth.ts';
import { niceAbove, plotted, shortly, type Plot } from '../../bench/lib/plot.ts';

describe('a growth curve', () => {
  it('is logarithmic or better, or it is not', () => {
    const keys = [1_000, 10_000, 1_000_000];
    const grown = (of: (count: number) => number): boolean | undefined => growthOf(keys.map((count) => [count, of(count)] as const))?.isWorseThanLogarithmic;
    expect(grown(() => 20)).toBe(false);
    expect(grown(Math.log2)).toBe(false);
    expect(grown((count) => 1.4 * Math.log2(count))).toBe(false);
    expect(grown((count) => count ** 0.25)).toBe(true);
    expect(grown((count) => count)).toBe(true);
    expect(growthOf([[1_000, 1], [1_000_000, 1_000]])?.exponent).toBeCloseTo(1);
    expect(growthOf([[1_000, 1]])).toBeUndefined();
  });
});

describe('a plot', () => {
  const plot: Plot = { title: 'Growth <of> "costs"', x: 'keys', marks: [1_000, 1_000_000], isLogarithmic: true, panels: [{ title: 'PUT', unit: 'us', series: [{ name: 'one region', points: [[1_000, 20], [1_000_000, 40]] }] }] };

  it('has every point as a mark, as text, and in its description', () => {
    const svg = plotted(plot);
    expect(svg.match(/<circle class="first" cx="\d+" cy="\d+"/g)).toHaveLength(2)
    expect(svg).toContain('PUT, us: one region 1000 20, 1M 40.');
    expect(svg).toContain('Growth &lt;of> &quot;costs&quot;');
    expect(svg).toContain('prefers-color-scheme: dark');
  });

  it('begins its axis at zero, and ends it at a round number above', () => {
    expect([0, 0.7, 1, 31, 99, 101, 7_600].map(niceAbove)).toEqual([1, 0.75, 1, 50, 100, 150, 10_000]);
    expect([0.1234, 12.34, 1234, 12_340, 1_000_000].map(shortly)).toEqual(['0.123', '12.3', '1234', '12.3k', '1M']);
  });
});

describe('npm run bench -- --curves is asked', () => {
  it('for sizes and curves, in order', () => {
    const { keys, of, regions } = asked(['--curves', '--keys', '10000,1000', '--of', 'one'], []) as Asked;
    expect([keys, of, regions]).toEqual([[1_000, 10_000], ['one'], [2, 3, 5, 7]]);
  });

  it('wrongly, and says so', () => {
    expect(asked(['--curves', '--of', 'two'], [])).toContain('There is no curve two.');
    for (const wrong of [['--keys', '10'], ['--keys', 'many'], ['--regions', '8'], ['--value-bytes', '0']]) expect(asked(['--curves', ...wrong], [])).toContain('Numbers: ');
  });
});
