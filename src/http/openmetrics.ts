// Metrics as OpenMetrics text (the format of Prometheus, as a standard). Engine and adapters count in plain numbers; they
// are read here when somebody asks.

export type MetricType = 'counter' | 'gauge';

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Metric {
  /** Without prefix and, for counters, without `_total`. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const PREFIX = 'archipel_';

export const escapeLabel = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

function sampleLine(name: string, { labels, value }: Sample): string {
  const pairs = Object.entries(labels ?? {}).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${Number.isFinite(value) ? value : 'NaN'}\n`;
}

export function renderMetrics(metrics: readonly Metric[]): string {
  let text = '';
  for (const { name, type, help, samples } of metrics) {
    text += `# TYPE ${PREFIX}${name} ${type}\n# HELP ${PREFIX}${name} ${help}\n`;
    for (const sample of samples) text += sampleLine(`${PREFIX}${name}${type === 'counter' ? '_total' : ''}`, sample);
  }
  return `${text}# EOF\n`;
}

export const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export const counter = (name: string, help: string, samples: readonly Sample[] | number): Metric => ({ name, type: 'counter', help, samples: toSamples(samples) });
export const gauge = (name: string, help: string, samples: readonly Sample[] | number): Metric => ({ name, type: 'gauge', help, samples: toSamples(samples) });

const toSamples = (samples: readonly Sample[] | number): readonly Sample[] => (typeof samples === 'number' ? [{ value: samples }] : samples);

/** One sample per field of an object of counts. */
export const byField = (label: string, counts: Readonly<Record<string, number>>): Sample[] => Object.entries(counts).map(([field, value]) => ({ labels: { [label]: field }, value }));
