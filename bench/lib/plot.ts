// Growth curves as an SVG: small panels side by side, x logarithmic, y linear from zero. The viewer's setting makes it light
// or dark; every point has its value as text (in the description those without room), so that nothing is told by colour alone.

import type { Point } from './growth.ts';

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  /** Marks of the x axis. */
  readonly marks: readonly number[];
  readonly isLogarithmic: boolean;
  readonly panels: readonly Panel[];
}

const COLUMNS = 3;
const [PANEL_WIDTH, PANEL_HEIGHT] = [300, 220];
/** Around what is drawn in a panel. */
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 24, 44, 36];
const HEAD = 64;
/** Above the highest point its value is written, and beside the first and the last one half of it. */
const [HEADROOM, SIDE] = [1.15, 14];
/** Of the axis, and of another value. */
const NO_ROOM = 14;
const CLASSES = ['first', 'second', 'third'];

const STYLE = `
    text { font: 12px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1c2022 }
    .head { font-size: 16px; font-weight: 600 } .title { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
    .paper { fill: #ffffff } .rule { stroke: #d0d7de; stroke-width: 1 } .line { fill: none; stroke-width: 2 }
    .first { stroke: #0969da } .second { stroke: #bc4c00; stroke-dasharray: 6 3 } .third { stroke: #1a7f37; stroke-dasharray: 2 3 }
    circle { stroke-width: 2; stroke-dasharray: none !important } circle.first { fill: #0969da } circle.second { fill: #ffffff } circle.third { fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9198a1 } .paper { fill: #0d1117 } .rule { stroke: #3d444d }
      .first { stroke: #4493f8 } .second { stroke: #f0883e } .third { stroke: #3fb950 } circle.first { fill: #4493f8 } circle.second { fill: #0d1117 } circle.third { fill: #3fb950 }
    }`;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** Three digits, thousands as k and M. */
export function shortly(value: number): string {
  const [scaled, sign] = value >= 1e6 ? [value / 1e6, 'M'] : value >= 10_000 ? [value / 1e3, 'k'] : [value, ''];
  return `${Number(scaled.toPrecision(scaled >= 1_000 ? 4 : 3))}${sign}`;
}

/** The next of 1, 2, 5, 10, … above. */
export function niceAbove(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.5, 2, 3, 5, 7.5, 10].find((step) => step * power >= value * 0.999) as number);
}

export function plotted(plot: Plot): string {
  const rows = Math.ceil(plot.panels.length / COLUMNS);
  const [width, height] = [Math.min(COLUMNS, plot.panels.length) * PANEL_WIDTH, HEAD + rows * PANEL_HEIGHT + 8];
  const names = [...new Set(plot.panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const legend = names.map((name, at) => `<g transform="translate(${16 + at * 210} 46)"><path class="line ${CLASSES[at]}" d="M0 -4 H26"/><circle class="${CLASSES[at]}" cx="13" cy="-4" r="3"/><text class="small" x="32">${escaped(name)}</text></g>`);
  const panels = plot.panels.map((panel, at) => drawn(plot, panel, names, [(at % COLUMNS) * PANEL_WIDTH, HEAD + Math.floor(at / COLUMNS) * PANEL_HEIGHT]));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="t d">
  <title id="t">${escaped(plot.title)}</title>
  <desc id="d">${escaped(plot.panels.map(described).join(' '))}</desc>
  <style>${STYLE}
  </style>
  <rect class="paper" width="${width}" height="${height}" rx="8"/>
  <text class="head" x="16" y="26">${escaped(plot.title)}</text>
  ${legend.join('\n  ')}
${panels.join('\n')}
</svg>
`;
}

const described = ({ title, unit, series }: Panel): string => `${title}, ${unit}: ${series.map(({ name, points }) => `${name} ${points.map(([x, y]) => `${shortly(x)} ${shortly(y)}`).join(', ')}`).join('; ')}.`;

function drawn({ x, marks, isLogarithmic }: Plot, { title, unit, series }: Panel, names: readonly string[], [left, top]: readonly [number, number]): string {
  const scale = isLogarithmic ? Math.log : (value: number): number => value;
  const [least, most] = [scale(Math.min(...marks)), scale(Math.max(...marks))];
  const highest = niceAbove(HEADROOM * Math.max(...series.flatMap(({ points }) => points.map(([, y]) => y))));
  const [inner, tall] = [PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM];
  const across = (value: number): number => Math.round(LEFT + SIDE + (most === least ? 0.5 : (scale(value) - least) / (most - least)) * (inner - 2 * SIDE));
  const up = (value: number): number => Math.round(TOP + tall - (value / highest) * tall);
  const rules = [0, highest / 2, highest].map((value) => `<path class="rule" d="M${LEFT} ${up(value)} H${PANEL_WIDTH - RIGHT}"/><text class="small" x="${LEFT - 6}" y="${up(value) + 4}" text-anchor="end">${shortly(value)}</text>`);
  const below = marks.map((mark) => `<text class="small" x="${across(mark)}" y="${PANEL_HEIGHT - BOTTOM + 16}" text-anchor="middle">${shortly(mark)}</text>`);
  const lines = series.map(({ name, points }, at) => {
    const look = CLASSES[names.indexOf(name)];
    const dots = points.map(([px, py]) => `<circle class="${look}" cx="${across(px)}" cy="${up(py)}" r="3"/>`);
    // A value stands above its point, but below it where another line is above.
    const isLower = ([px, py]: Point): boolean => series.some((other, i) => other.points.some(([ox, oy]) => ox === px && (oy > py || (oy === py && i < at))));
    const texts = points.flatMap((point) => {
      const [px, py] = [across(point[0]), up(point[1])];
      const isBelow = isLower(point);
      // No room below, and another value above: the description has both.
      if (isBelow && py >= TOP + tall - NO_ROOM && series.some((other) => other.points.some(([ox, oy]) => ox === point[0] && oy > point[1] && py - up(oy) < NO_ROOM))) return [];
      return [`<text class="small" x="${px}" y="${isBelow && py < TOP + tall - NO_ROOM ? py + 16 : py - 8}" text-anchor="middle">${shortly(point[1])}</text>`];
    });
    return `<path class="line ${look}" d="${points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${across(px)} ${up(py)}`).join(' ')}"/>${dots.join('')}${texts.join('')}`;
  });
  return `  <g transform="translate(${left} ${top})">
    <text class="title" x="16" y="18">${escaped(title)}</text><text class="small" x="16" y="33">${escaped(unit)}</text><text class="small" x="${PANEL_WIDTH - RIGHT}" y="33" text-anchor="end">${escaped(x)} →</text>
    ${[...rules, ...below].join('')}
    ${lines.join('\n    ')}
  </g>`;
}
