// A small strict parser of the OpenMetrics text format 1.0: enough to refuse what a scraper might.

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { counter: ['_total', '_created'], gauge: [''] };

/** @throws Error with the line that is wrong */
export function parseOpenMetrics(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.pop() !== '# EOF') throw new Error('The text ends with "# EOF" and a line feed.');
  let current: string | undefined;
  for (const line of lines) {
    const wrong = (why: string): Error => new Error(`${why}: ${JSON.stringify(line)}`);
    const type = /^# TYPE (\S+) (counter|gauge)$/.exec(line);
    const help = /^# HELP (\S+) (.*)$/.exec(line);
    if (type !== null) {
      const name = type[1] as string;
      if (!NAME.test(name)) throw wrong('not a name');
      if (families.has(name)) throw wrong('a family is described once, and in one piece');
      if (/_(total|created|bucket|sum|count|info)$/.test(name)) throw wrong('a family has no reserved suffix');
      families.set((current = name), { type: type[2] as string, help: '', samples: [] });
    } else if (help !== null) {
      if (help[1] !== current || families.get(current as string)?.samples.length !== 0) throw wrong('help comes with its family, before the samples');
      if (/\\[^\\n"]|\\$/.test((help[2] as string).replaceAll('\\\\', ''))) throw wrong('a bad escape');
      families.set(current as string, { ...(families.get(current as string) as Family), help: help[2] as string });
    } else {
      const family = families.get(current ?? '');
      if (family === undefined) throw wrong('a sample belongs to a family');
      const sample = parseSample(line, wrong);
      if (!(SUFFIXES[family.type] as readonly string[]).some((suffix) => sample.name === `${current}${suffix}`)) throw wrong(`not a sample of the ${family.type} ${current}`);
      const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(series)) throw wrong('a series has one sample');
      seen.add(series);
      if (family.type === 'counter' && !(sample.value >= 0)) throw wrong('a counter is a number from 0');
      family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string, wrong: (why: string) => Error): Family['samples'][number] {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw wrong('not a sample');
  const [, name = '', inner, value = ''] = match;
  if (!/^(?:NaN|[+-]?Inf|[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/.test(value)) throw wrong('not a number');
  const labels: Record<string, string> = {};
  let rest = inner ?? '';
  if (inner === '') throw wrong('empty braces');
  while (rest !== '') {
    const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,(?=.)|$)/.exec(rest);
    if (label === null) throw wrong('a bad label');
    if (Object.hasOwn(labels, label[1] as string)) throw wrong('a label is named once');
    labels[label[1] as string] = label[2] as string;
    rest = rest.slice(label[0].length);
  }
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) };
}
