// As much of JSON Schema as our OpenAPI document uses, to hold answers against it. A member that the schema does not name
// is a fault too: clients must ignore it, but we must not send what we do not document.

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly description?: string;
  readonly example?: unknown;
}

const KNOWN = ['$ref', 'type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'items', 'anyOf', 'minimum', 'maximum', 'minItems', 'maxItems'];
/** Words that say nothing about whether a value is valid, or that we do not judge. */
const ANNOTATIONS = ['description', 'example', 'default', 'format', 'pattern', 'minLength', 'maxLength', 'exclusiveMinimum', 'propertyNames'];

export const unknownWords = (schema: object): string[] => Object.keys(schema).filter((word) => !KNOWN.includes(word) && !ANNOTATIONS.includes(word));

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

const isOf = (type: string, value: unknown): boolean => typeOf(value) === type || (type === 'number' && typeof value === 'number');

/** What is wrong, each with where; empty when the value is valid. */
export function faults(value: unknown, schema: Schema, resolve: (ref: string) => Schema, at = ''): string[] {
  if (schema.$ref !== undefined) return faults(value, resolve(schema.$ref), resolve, at);
  const words = unknownWords(schema);
  if (words.length > 0) return [`${at}: the schema uses ${words.join(', ')}, which is not understood here`];
  if (schema.anyOf !== undefined) {
    const each = schema.anyOf.map((choice) => faults(value, choice, resolve, at));
    return each.some((found) => found.length === 0) ? [] : [`${at}: none of the choices: ${each.flat().join('; ')}`];
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isOf(type, value))) return [`${at}: ${typeOf(value)} is not ${types.join(' or ')}`];
  const found: string[] = [];
  if (schema.enum !== undefined && !schema.enum.includes(value)) found.push(`${at}: ${JSON.stringify(value)} is none of ${JSON.stringify(schema.enum)}`);
  if (schema.const !== undefined && schema.const !== value) found.push(`${at}: ${JSON.stringify(value)} is not ${JSON.stringify(schema.const)}`);
  if (typeof value === 'number' && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value))) found.push(`${at}: ${value} is out of bounds`);
  if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0) || value.length > (schema.maxItems ?? value.length)) found.push(`${at}: ${value.length} items`);
    if (schema.items !== undefined) found.push(...value.flatMap((item, index) => faults(item, schema.items as Schema, resolve, `${at}/${index}`)));
  } else if (typeof value === 'object' && value !== null) found.push(...objectFaults(value as Record<string, unknown>, schema, resolve, at));
  return found;
}

function objectFaults(value: Record<string, unknown>, schema: Schema, resolve: (ref: string) => Schema, at: string): string[] {
  const found = (schema.required ?? []).filter((name) => !Object.hasOwn(value, name)).map((name) => `${at}: lacks ${name}`);
  for (const [name, member] of Object.entries(value)) {
    const own = schema.properties?.[name];
    const other = schema.additionalProperties;
    if (own !== undefined) found.push(...faults(member, own, resolve, `${at}/${name}`));
    else if (typeof other === 'object') found.push(...faults(member, other, resolve, `${at}/${name}`));
    else if (other === false || schema.properties !== undefined) found.push(`${at}/${name}: not in the schema`);
  }
  return found;
}
