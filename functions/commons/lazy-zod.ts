// The part of zod that requests are checked with, for bundles: its own core, without the classes around it that can be printed,
// read and changed in every way. A tenth of the size, and the same verdicts in the same words. A schema is made when a body is
// held against it first: most never are.

import * as core from 'zod/v4/core';
import english from 'zod/v4/locales/en.js';

core.config(english()); // as zod does by itself

type Made = core.$ZodType;
type Shape = Readonly<Record<string, Schema>>;
type Check = core.$ZodCheck<never>;

/** What it is made of; `min` and `max` are of characters, of elements or of a number. */
interface Kind {
  /** With checks that are those of its kind, which its methods see to. */
  readonly make: (checks: never[]) => Made;
  readonly min?: (least: number) => Check;
  readonly max?: (most: number) => Check;
}

class Schema {
  readonly #kind: Kind;
  readonly #checks: readonly (() => Check)[];
  /** Of an object. */
  readonly shape: Shape | undefined;
  #made: Made | undefined;

  constructor(kind: Kind, { shape, checks = [] }: { readonly shape?: Shape | undefined; readonly checks?: readonly (() => Check)[] } = {}) {
    this.#kind = kind;
    this.#checks = checks;
    this.shape = shape;
  }

  get made(): Made {
    return (this.#made ??= this.#kind.make(this.#checks.map((check) => check()) as never[]));
  }

  safeParse(value: unknown): core.util.SafeParseResult<unknown> {
    return core.safeParse<core.$ZodType>(this.made, value);
  }

  /** The description is made elsewhere. */
  openapi(): this {
    return this;
  }

  min(least: number): Schema {
    return this.#checked(() => called(this.#kind.min)(least));
  }

  max(most: number): Schema {
    return this.#checked(() => called(this.#kind.max)(most));
  }

  regex(pattern: RegExp): Schema {
    return this.#checked(() => core._regex(pattern));
  }

  refine(isRight: (value: never) => unknown, message: string): Schema {
    return this.#checked(() => core._refine(core.$ZodCustom, isRight as (value: unknown) => unknown, message));
  }

  transform(change: (value: never) => unknown): Schema {
    return plain(() => new core.$ZodPipe({ type: 'pipe', in: this.made, out: new core.$ZodTransform({ type: 'transform', transform: change as (value: unknown) => unknown }) }));
  }

  optional(): Schema {
    return plain(() => new core.$ZodOptional({ type: 'optional', innerType: this.made }));
  }

  nullable(): Schema {
    return plain(() => new core.$ZodNullable({ type: 'nullable', innerType: this.made }));
  }

  /** Given anew each time, because whoever gets it may change it. */
  default(value: unknown): Schema {
    return plain(() => core._default(core.$ZodDefault, this.made as never, value as never));
  }

  extend(more: Shape): Schema {
    return object({ ...this.shape, ...more });
  }

  #checked(check: () => Check): Schema {
    return new Schema(this.#kind, { shape: this.shape, checks: [...this.#checks, check] });
  }
}

function called<T>(method: T | undefined): T {
  if (method === undefined) throw new TypeError('This kind of schema has no such check.');
  return method;
}

const plain = (make: () => Made): Schema => new Schema({ make });
/** Of answers, and nothing is held against these. */
const described = (): Schema =>
  plain(() => {
    throw new TypeError('Nothing is checked by this schema: bundles describe no answers.');
  });

const LENGTH: Pick<Kind, 'min' | 'max'> = { min: (least) => core._minLength(least), max: (most) => core._maxLength(most) };
const VALUE: Pick<Kind, 'min' | 'max'> = { min: (least) => core._gte(least), max: (most) => core._lte(most) };

const madeOf = (shape: Shape): Record<string, Made> => Object.fromEntries(Object.entries(shape).map(([name, schema]) => [name, schema.made]));

const objectOf = (shape: Shape, catchall?: () => Made): Schema =>
  new Schema({ make: (checks) => new core.$ZodObject({ type: 'object', shape: madeOf(shape), ...(catchall === undefined ? {} : { catchall: catchall() }), checks }) }, { shape });

const object = (shape: Shape): Schema => objectOf(shape);

export const z = {
  string: (): Schema => new Schema({ make: (checks) => new core.$ZodString({ type: 'string', checks }), ...LENGTH }),
  int: (): Schema => new Schema({ make: (checks) => new core.$ZodNumberFormat({ type: 'number', check: 'number_format', abort: false, format: 'safeint', checks }), ...VALUE }),
  boolean: (): Schema => plain(() => core._boolean(core.$ZodBoolean)),
  any: (): Schema => plain(() => core._any(core.$ZodAny)),
  unknown: (): Schema => plain(() => core._unknown(core.$ZodUnknown)),
  literal: (value: string): Schema => plain(() => new core.$ZodLiteral({ type: 'literal', values: [value] })),
  enum: (values: readonly string[]): Schema => plain(() => core._enum(core.$ZodEnum, [...values])),
  array: (of: Schema): Schema => new Schema({ make: (checks) => new core.$ZodArray({ type: 'array', element: of.made, checks }), ...LENGTH }),
  union: (of: readonly Schema[]): Schema => plain(() => new core.$ZodUnion({ type: 'union', options: of.map((each) => each.made) })),
  iso: { datetime: (how: { readonly offset: boolean }): Schema => plain(() => core._isoDateTime(core.$ZodISODateTime, how)) },
  object,
  strictObject: (shape: Shape): Schema => objectOf(shape, () => core._never(core.$ZodNever)),
  looseObject: described,
};
