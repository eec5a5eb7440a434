// JSON that comes out as it went in: numbers that a JavaScript number would change (ids of 64 bits) keep their digits.

type Reviver = (this: unknown, key: string, value: unknown) => unknown;

const { rawJSON } = JSON as unknown as { rawJSON?: (text: string) => unknown };

const keepDigits = (_key: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value === 'number' && source !== undefined && rawJSON !== undefined && String(value) !== source ? rawJSON(source) : value;

export const parseJsonExactly = (text: string): unknown => JSON.parse(text, keepDigits as Reviver) as unknown;
