// The header fields of answers, as the OpenAPI document names them. A test holds every answer of every other test against it.

const FIELDS = {
  ETag: 'Strong tag of the live values; behind a semicolon the representation of siblings.',
  'Causal-Context': 'Send it back on a write to supersede exactly what was read. It comes only where that is all that was seen.',
  Conflicts: 'How many values stand.',
  'Preference-Applied': 'The preference that was followed (RFC 7240).',
  'Content-Digest': '`sha-256=:…:`, where Want-Content-Digest asked (RFC 9530).',
  Sunset: 'When the value expires.',
  'Write-Outcome': '`stored`, `sibling`, `superseded` or `duplicate`.',
  'Replicated-To': 'The other regions that hold the write, of those that Replicate-To asked for.',
  Location: 'Where it is.',
  'Next-Cursor': 'Where the next page begins; absent on the last one.',
  'Retry-After': 'Seconds to wait.',
  'WWW-Authenticate': 'How to be let in.',
} as const;

export type AnswerField = keyof typeof FIELDS;

/** What any answer may have; told once, not with every operation. */
export const ON_EVERY_ANSWER = `- \`Served-By\`: who answered; of an item also the region that wrote what was served, and how long ago: \`eu-central-1; origin=us-east-1; age-ms=140\`
- \`Server-Timing\`: milliseconds in the region that answered; \`edge;desc="attempts=2"\` when the edge had to ask more than one
- \`Topology\`: \`term.epoch\` of the document that the region works on, where the request named another one in a field of this name, as an edge does
- \`Replication-Lag\`: beside it, milliseconds: the region has not caught up with its peers since it was away
- \`Consistency\` and \`Traceparent\`: as the request had them
- \`Request-Id\`, on problems: their \`instance\`, under which the log of the region has them (others than \`internal\` with \`--verbose\`)`;

/** Of an answer with the value of an item. */
export const VALUE_FIELDS: readonly AnswerField[] = ['ETag', 'Causal-Context', 'Conflicts', 'Preference-Applied', 'Content-Digest', 'Sunset'];

/** Of an answer to a write. */
export const WRITTEN_FIELDS: readonly AnswerField[] = ['Write-Outcome', 'ETag', 'Causal-Context', 'Sunset', 'Replicated-To', 'Preference-Applied'];

/** Of problems with this status. */
export const STATUS_FIELDS: Readonly<Record<number, readonly AnswerField[]>> = { 401: ['WWW-Authenticate'], 421: ['Location'], 503: ['Retry-After'] };

/** To refer to; the descriptions stand in the components. */
export const fieldsObject = (names: readonly AnswerField[]): { readonly headers?: Record<string, { readonly $ref: string }> } =>
  names.length === 0 ? {} : { headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])) };

export const FIELD_COMPONENTS: readonly (readonly [AnswerField, { readonly description: string; readonly schema: { readonly type: 'string' } }])[] = Object.entries(FIELDS).map(([name, description]) => [
  name as AnswerField,
  { description, schema: { type: 'string' } },
]);
