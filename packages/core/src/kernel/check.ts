import { parseByteSize } from './bytes.js';
import { parseDuration } from './duration.js';
import { WarmpathError } from './errors.js';

/** What one option may be: `text` completes the sentence "option 'x' must be ...". */
export interface Rule {
  readonly text: string;
  readonly allows: (value: unknown) => boolean;
  /** An option is optional (undefined means its default) unless its rule says otherwise. */
  readonly required?: boolean;
  /** Its value is never printed. */
  readonly secret?: boolean;
}

/** One rule for each option of a type: an option without a rule does not compile. */
export type Rules<Options> = { readonly [Name in keyof Required<Options>]: Rule };

/**
 * Refuses bad options before anything is built: a value that breaks its rule, a missing required one, an unknown name.
 * @param where the function as its caller writes it, such as `createLimiter()`
 * @throws WarmpathError `WP_BAD_OPTION` naming the option, the rule, the value and its type
 */
export function checkOptions<Options extends object>(
  where: string,
  options: Options | undefined,
  rules: Rules<Options>,
): void {
  if (options !== undefined && !rule.object.allows(options)) {
    throw badOption(where, 'options', 'an object', options);
  }
  const given = (options ?? {}) as Readonly<Record<string, unknown>>;
  const known = rules as Readonly<Record<string, Rule>>;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) throw unknownOption(where, name, Object.keys(known));
  }
  for (const [name, rule] of Object.entries(known)) {
    const value = given[name];
    if (value === undefined && !rule.required) continue;
    if (!rule.allows(value)) throw badOption(where, name, rule.text, value, rule.secret);
  }
}

/**
 * The one form of a refused option; for rules that span several options, which `checkOptions` cannot see.
 * @param secret prints the type of the value, never the value
 */
export function badOption(where: string, name: string, rule: string, value: unknown, secret = false): WarmpathError {
  const got = `${secret && value !== undefined ? 'a hidden value' : printed(value)} (${typeName(value)})`;
  return new WarmpathError('WP_BAD_OPTION', `${where}: option '${name}' must be ${rule}, got ${got}.`, {
    details: { where, option: name, rule, type: typeName(value) },
  });
}

function unknownOption(where: string, name: string, known: readonly string[]): WarmpathError {
  const near = nearest(name, known);
  const all = known.length > 0 ? known.map((option) => `'${option}'`).join(', ') : 'none';
  const hint = near ? `did you mean '${near}'?` : `it takes ${all}.`;
  return new WarmpathError('WP_BAD_OPTION', `${where}: there is no option '${shortened(name)}'; ${hint}`, {
    details: { where, option: shortened(name), known },
  });
}

export const rule = {
  /** Any value but undefined and null. */
  anything: { text: 'set', allows: (value: unknown) => value !== undefined && value !== null } as Rule,
  boolean: { text: 'true or false', allows: (value: unknown) => typeof value === 'boolean' } as Rule,
  text: { text: 'a string that is not empty', allows: isText } as Rule,
  function: { text: 'a function', allows: (value: unknown) => typeof value === 'function' } as Rule,
  object: {
    text: 'an object',
    allows: (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value),
  } as Rule,
  url: { text: 'an http:// or https:// address', allows: isHttpUrl } as Rule,
  duration: {
    text: "a duration such as '250ms', '30s', '5m', '1h' or '7d', or a number of milliseconds from 0 up",
    allows: (value: unknown) => parseDuration(value) !== undefined,
  } as Rule,
  positiveDuration: {
    text: "a duration above 0 such as '250ms', '30s', '5m', '1h' or '7d', or a number of milliseconds",
    allows: (value: unknown) => (parseDuration(value) ?? 0) > 0,
  } as Rule,
  byteSize: {
    text: "a size above 0 such as '64kB', '100MB', '2GB', or a number of bytes",
    allows: (value: unknown) => (parseByteSize(value) ?? 0) > 0,
  } as Rule,
  secret: { text: 'a string that is not empty', allows: isText, secret: true } as Rule,
  /** A whole number in [min, max]. */
  integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Rule {
    const upTo = max === Number.MAX_SAFE_INTEGER ? 'up' : `to ${max}`;
    return {
      text: `a whole number from ${min} ${upTo}`,
      allows: (value) => Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    };
  },
  /** A finite number in [min, max]. */
  number(min: number, max: number = Number.POSITIVE_INFINITY): Rule {
    const upTo = max === Number.POSITIVE_INFINITY ? 'up' : `to ${max}`;
    return {
      text: `a number from ${min} ${upTo}`,
      allows: (value) => Number.isFinite(value) && (value as number) >= min && (value as number) <= max,
    };
  },
  /** A finite number above 0. */
  positive: {
    text: 'a number above 0',
    allows: (value: unknown) => Number.isFinite(value) && (value as number) > 0,
  } as Rule,
  oneOf(...values: readonly (string | number | boolean)[]): Rule {
    return {
      text: `one of ${values.map((value) => printed(value)).join(', ')}`,
      allows: (value) => values.includes(value as string),
    };
  },
  /** An object with these methods: how an injected part is recognised. */
  withMethods(what: string, ...methods: readonly string[]): Rule {
    return {
      text: `${what} (an object with ${methods.map((method) => `${method}()`).join(', ')})`,
      allows: (value) =>
        typeof value === 'object' &&
        value !== null &&
        methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function'),
    };
  },
  /** An array, of at least `min` items that each keep `item`. */
  arrayOf(item: Rule, min = 0): Rule {
    return {
      text: `a list${min > 0 ? ` of ${min} or more` : ''}, each ${item.text}`,
      allows: (value) => Array.isArray(value) && value.length >= min && value.every((each) => item.allows(each)),
      ...(item.secret ? { secret: true } : {}),
    };
  },
  either(first: Rule, second: Rule): Rule {
    return {
      text: `${first.text}, or ${second.text}`,
      allows: (value) => first.allows(value) || second.allows(value),
      ...(first.secret || second.secret ? { secret: true } : {}),
    };
  },
  required(inner: Rule): Rule {
    return { ...inner, required: true };
  },
} as const;

/** The rules of the options that every part takes. */
export const ambientRules: {
  readonly clock: Rule;
  readonly random: Rule;
  readonly onEvent: Rule;
  readonly signal: Rule;
} = {
  clock: rule.withMethods('a clock', 'now', 'wall', 'schedule'),
  random: rule.function,
  onEvent: rule.function,
  signal: rule.withMethods('an AbortSignal', 'addEventListener', 'removeEventListener'),
};

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

function isHttpUrl(value: unknown): boolean {
  if (!(typeof value === 'string' || value instanceof URL)) return false;
  return ['http:', 'https:'].includes(URL.parse(String(value))?.protocol ?? '');
}

const longestPrint = 60;

function printed(value: unknown): string {
  if (typeof value === 'string') return `'${shortened(masked(value))}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return typeof value.name === 'string' && value.name ? value.name : 'anonymous';
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value);
  try {
    return shortened(masked(JSON.stringify(value, withoutSecrets) ?? Object.prototype.toString.call(value)));
  } catch {
    return Object.prototype.toString.call(value); // cyclic, or with a bigint inside
  }
}

const secretName = /key|token|secret|passw|credential|authorization/i;

/** Options are refused as a whole too, with the credentials of a model inside: texts under such names stay out. */
function withoutSecrets(name: string, value: unknown): unknown {
  return typeof value === 'string' && secretName.test(name) ? '(hidden)' : value;
}

/** The same for the user and password of an address. */
function masked(text: string): string {
  return text.replace(/\/\/[^\s/?#"]*@/g, '//(hidden)@');
}

function shortened(text: string): string {
  return text.length <= longestPrint ? text : `${text.slice(0, longestPrint - 3)}...`;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value !== 'object') return typeof value;
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name && name !== 'Object' ? name : 'object';
}

/** The option that a wrong name was meant to be: at most two slips away, and fewer for short names. */
function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Math.min(2, Math.floor(name.length / 2)) + 1;
  for (const option of known) {
    if (Math.abs(option.length - name.length) >= fewest) continue; // also keeps a very long name cheap
    const slips = distance(option.toLowerCase(), name.toLowerCase());
    if (slips < fewest) [best, fewest] = [option, slips];
  }
  return best;
}

/** Levenshtein distance by the two-row method, for "did you mean". */
function distance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
