import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type Duration, parseDuration } from '@warmpath/core/kernel';
import { StartError } from './start-error.js';

/** Everything that flags and environment decide, checked. */
export interface AppConfig {
  /** 0 lets the system choose a free one. */
  readonly port: number;
  /** False when nobody asked for this port, so another one will do. */
  readonly portGiven: boolean;
  readonly host: string;
  /** The folder to answer from; undefined means the installed documentation. */
  readonly docs: string | undefined;
  readonly openai: ModelServer | undefined;
  readonly ollama: ModelServer | undefined;
  /** How long a model server may take to its first word. */
  readonly modelTimeout: Duration;
  /** Demo only: leave after the tour. */
  readonly exit: boolean;
}

interface ModelServer {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const defaultPort = 3000;
/** A model may have to be loaded from disk first. */
const defaultModelTimeout = '60s';
const flags = {
  docs: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
} as const;
const demoFlags = { ...flags, exit: { type: 'boolean' } } as const;
const flagHelp: Readonly<Record<string, string>> = {
  docs: '--docs DIR',
  port: '--port NUMBER',
  host: '--host ADDRESS',
  exit: '--exit',
};

/**
 * Flags win over the environment; an empty variable counts as not set.
 * @throws StartError naming the flag or variable, what came and what it takes
 */
export function readConfig(args: readonly string[], env: Environment, program: 'main' | 'demo'): AppConfig {
  const given = parseFlags(args, program === 'demo' ? demoFlags : flags);
  const port = textOf(given.port, '--port') ?? set(env, 'PORT');
  const docs = textOf(given.docs, '--docs') ?? set(env, 'DOCS_DIR');
  const ollamaUrl = set(env, 'OLLAMA_URL');
  return {
    port: port === undefined ? defaultPort : portOf(port, given.port === undefined ? 'PORT' : '--port'),
    portGiven: port !== undefined,
    host: textOf(given.host, '--host') ?? set(env, 'HOST') ?? '127.0.0.1',
    docs,
    openai: openaiOf(env),
    ollama: ollamaUrl
      ? { baseUrl: urlOf(ollamaUrl, 'OLLAMA_URL'), model: set(env, 'OLLAMA_MODEL') ?? 'llama3.2' }
      : undefined,
    modelTimeout: durationOf(set(env, 'MODEL_TIMEOUT') ?? defaultModelTimeout, 'MODEL_TIMEOUT'),
    exit: given.exit === true,
  };
}

function parseFlags(args: readonly string[], options: ParseArgsOptionsConfig): Readonly<Record<string, unknown>> {
  const known = Object.keys(options).map((name) => flagHelp[name] ?? `--${name}`);
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split(/\. |\n/)[0] ?? '') : String(error);
    throw new StartError('The command line is not understood.', `${reason}.`, `It takes ${known.join(', ')}.`, {
      cause: error,
    });
  }
}

function textOf(value: unknown, flag: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new StartError(`${flag} needs a value.`, 'It is empty.', `Give it one, or leave ${flag} out.`);
}

function set(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}

function portOf(value: string, name: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (port <= 65_535) return port;
  throw new StartError(
    `${name} must be a whole number from 0 to 65535.`,
    `It is '${value}'.`,
    `Correct it; 0 takes any free port, and without it the port is ${defaultPort}.`,
  );
}

function durationOf(value: string, name: string): Duration {
  const duration = value as Duration;
  if ((parseDuration(duration) ?? 0) > 0) return duration;
  throw new StartError(
    `${name} must be a duration above 0, such as 90s or 2m.`,
    `It is '${value}'.`,
    `Correct it, or leave it out for ${defaultModelTimeout}.`,
  );
}

function urlOf(value: string, name: string): string {
  if (['http:', 'https:'].includes(URL.parse(value)?.protocol ?? '')) return value;
  throw new StartError(
    `${name} must be an http:// or https:// address.`,
    `It is '${value}'.`,
    'Correct it, or leave it out to answer without a language model.',
  );
}

function openaiOf(env: Environment): ModelServer | undefined {
  const baseUrl = set(env, 'OPENAI_BASE_URL');
  const apiKey = set(env, 'OPENAI_API_KEY');
  if (baseUrl === undefined && apiKey === undefined) return undefined;
  if (baseUrl === undefined || apiKey === undefined) {
    const [here, missing] = baseUrl ? ['OPENAI_BASE_URL', 'OPENAI_API_KEY'] : ['OPENAI_API_KEY', 'OPENAI_BASE_URL'];
    throw new StartError(
      `${missing} is missing.`,
      `${here} is set, and one means nothing without the other.`,
      `Set ${missing} as well, or neither.`,
    );
  }
  return { baseUrl: urlOf(baseUrl, 'OPENAI_BASE_URL'), apiKey, model: set(env, 'OPENAI_MODEL') ?? 'gpt-4o-mini' };
}
