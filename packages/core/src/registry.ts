import { badOption, rule, WarmpathError } from './kernel/index.js';

/**
 * Whether a part can be asked for like this.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function checkNamed(kind: string, name: string, options: object | undefined): void {
  const where = `warmpath.${kind}()`;
  if (!rule.text.allows(name)) throw badOption(where, 'name', rule.text.text, name);
  if (options !== undefined && !rule.object.allows(options)) throw badOption(where, 'options', 'an object', options);
}

/** Parts by name, each made at its first use. */
export class Registry<Part> {
  readonly #parts = new Map<string, { readonly part: Part; readonly of: unknown }>();
  readonly #kind: string;
  readonly #how: string;

  /** @param how one that exists is asked for */
  constructor(kind: string, how = 'by its name alone') {
    this.#kind = kind;
    this.#how = how;
  }

  /** @param of what the part is made of: one made of something else is not what is asked for */
  get(name: string, options: object | undefined, make: () => Part, of?: unknown): Part {
    checkNamed(this.#kind, name, options);
    const known = this.#parts.get(name);
    if (known && (options || known.of !== of)) {
      throw new WarmpathError(
        'WP_BAD_OPTION',
        `A ${this.#kind} named '${name}' exists already: ask for it ${this.#how}, or choose another name.`,
        { details: { kind: this.#kind, name } },
      );
    }
    if (known) return known.part;
    const part = make();
    this.#parts.set(name, { part, of });
    return part;
  }

  /** Of a part that came to nothing. */
  forget(name: string, part: Part): void {
    if (this.#parts.get(name)?.part === part) this.#parts.delete(name);
  }

  all(): Part[] {
    return Array.from(this.#parts.values(), ({ part }) => part);
  }
}
