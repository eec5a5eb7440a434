// Known bugs, to see that the checkers catch them: a checker that never fails proves nothing. Each is an edit of the
// product's source, put in while it is loaded (sabotage.ts).

export interface Edit {
  /** Below src. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Control {
  readonly name: string;
  /** What is wrong, and what it would do to a user. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** A seed that is known to catch it. */
  readonly seed: number;
}

export const CONTROLS: readonly Control[] = [];

/** @throws Error for an unknown name */
export function controlNamed(name: string): Control {
  const control = CONTROLS.find((each) => each.name === name);
  if (control === undefined) throw new Error(`There is no control ${name}. There are: ${CONTROLS.map((each) => each.name).join(', ')}.`);
  return control;
}
