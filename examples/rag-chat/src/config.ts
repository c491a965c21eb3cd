import { resolve } from 'node:path';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import type { Limit } from '@warmpath/core';
import { type Duration, parseDuration } from '@warmpath/core/kernel';
import { type Environment, set } from './environment.js';
import { modelQuotaOf } from './model-quota.js';
import { faultOf } from './redis-address.js';
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
  /** The file that answers are kept in; undefined means memory alone. */
  readonly cacheFile: string | undefined;
  /** The Redis that answers are kept in, for all processes that name it; never beside a file. */
  readonly redisUrl: string | undefined;
  readonly openai: ModelServer | undefined;
  readonly ollama: ModelServer | undefined;
  /** How long a model server may take to its first word. */
  readonly modelTimeout: Duration;
  /** What each model server may be asked; empty: as much as there are questions. */
  readonly modelLimits: readonly Limit[];
  /** Demo only: leave after the tour. */
  readonly exit: boolean;
  /** What was set and is not used, one line each. */
  readonly notes: readonly string[];
}

interface ModelServer {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string;
}

const defaultPort = 3000;
const defaultHost = '127.0.0.1';
/** Many people have a key in their environment for other programs: it alone must not send their documents anywhere. */
const keyAlone = 'OPENAI_API_KEY is not used, since OPENAI_BASE_URL is not set: nothing is sent to OpenAI.';
const quotaUnused = 'MODEL_RPM and the like are not used, since no model server is configured.';
const redisUnused = 'REDIS_URL is not used, since --cache names a file.';
/** A model may have to be loaded from disk first. */
const defaultModelTimeout = '60s';
const flags = {
  docs: { type: 'string' },
  cache: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
} as const;
const demoFlags = { ...flags, exit: { type: 'boolean' } } as const;
const flagHelp: Readonly<Record<string, string>> = {
  docs: '--docs DIR',
  cache: '--cache FILE',
  port: '--port NUMBER',
  host: '--host ADDRESS',
  exit: '--exit',
};

export type Program = 'main' | 'demo';

/** How to start the program; undefined unless somebody asks. */
export function helpFor(args: readonly string[], program: Program): string | undefined {
  if (!args.some((arg) => arg === '--help' || arg === '-h')) return undefined;
  const command = program === 'demo' ? 'npm run demo --' : 'node examples/rag-chat/dist/main.js';
  return `Usage: ${command} [flags]

  --docs DIR       the Markdown and text files to answer from (or DOCS_DIR); default: the installed documentation
  --cache FILE     keeps answers in this file as well (or CACHE_FILE), for the next start and for other processes
  --port NUMBER    where to listen (or PORT); default ${defaultPort}, 0 takes any free one
  --host ADDRESS   the address to listen on (or HOST); default ${defaultHost}
${program === 'demo' ? '  --exit           leave after the tour\n' : ''}
A language model writes the answers with OLLAMA_URL, or OPENAI_BASE_URL and OPENAI_API_KEY.
OLLAMA_MODEL, OPENAI_MODEL and MODEL_TIMEOUT choose the model and its time.
MODEL_RPM, MODEL_TPM, MODEL_RPD (its day begins in MODEL_QUOTA_ZONE) and MODEL_CONCURRENT limit what it is asked.
REDIS_URL (redis://host:6379) keeps answers in Redis instead of a file; processes share them, those under way, and limits.
examples/rag-chat/README.md has more.`;
}

/**
 * Flags win over the environment; an empty variable counts as not set. A relative path is one below where the user stands,
 * which npm keeps in INIT_CWD: it runs scripts in the folder of their package.
 * @throws StartError naming the flag or variable, what came and what it takes
 */
export function readConfig(args: readonly string[], env: Environment, program: Program): AppConfig {
  const given = parseFlags(args, program === 'demo' ? demoFlags : flags);
  const port = textOf(given.port, '--port') ?? set(env, 'PORT');
  const from = set(env, 'INIT_CWD') ?? '';
  const docs = textOf(given.docs, '--docs') ?? set(env, 'DOCS_DIR');
  const kept = placeOf(textOf(given.cache, '--cache'), env);
  const ollamaUrl = set(env, 'OLLAMA_URL');
  const quota = modelQuotaOf(env);
  const openai = openaiOf(env);
  const isQuotaUnused = quota.limits.length > 0 && !openai && ollamaUrl === undefined;
  return {
    port: port === undefined ? defaultPort : portOf(port, given.port === undefined ? 'PORT' : '--port'),
    portGiven: port !== undefined,
    host: textOf(given.host, '--host') ?? set(env, 'HOST') ?? defaultHost,
    docs: docs === undefined ? undefined : resolve(from, docs),
    cacheFile: kept.cacheFile === undefined ? undefined : resolve(from, kept.cacheFile),
    redisUrl: kept.redisUrl,
    openai,
    ollama: ollamaUrl
      ? { baseUrl: urlOf(ollamaUrl, 'OLLAMA_URL'), model: set(env, 'OLLAMA_MODEL') ?? 'llama3.2' }
      : undefined,
    modelTimeout: durationOf(set(env, 'MODEL_TIMEOUT') ?? defaultModelTimeout, 'MODEL_TIMEOUT'),
    modelLimits: quota.limits,
    exit: given.exit === true,
    notes: [
      ...(set(env, 'OPENAI_API_KEY') && !openai ? [keyAlone] : []),
      ...kept.notes,
      ...quota.notes,
      ...(isQuotaUnused ? [quotaUnused] : []),
    ],
  };
}

/** Where answers are kept is one place. @throws StartError */
function placeOf(
  flag: string | undefined,
  env: Environment,
): Pick<AppConfig, 'notes'> & Partial<Pick<AppConfig, 'cacheFile' | 'redisUrl'>> {
  const file = set(env, 'CACHE_FILE');
  const redis = set(env, 'REDIS_URL');
  const redisUrl = redis === undefined ? undefined : redisUrlOf(redis);
  if (flag !== undefined) return { cacheFile: flag, notes: redisUrl === undefined ? [] : [redisUnused] };
  if (file === undefined || redisUrl === undefined) return { cacheFile: file, redisUrl, notes: [] };
  throw new StartError(
    'REDIS_URL and CACHE_FILE are both set.',
    'Answers are kept in one place beside memory.',
    'Leave one of them out: Redis is for several processes or machines, the file for one machine.',
  );
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

function redisUrlOf(value: string): string {
  const why = faultOf(value);
  if (why === undefined) return value;
  throw new StartError(
    'REDIS_URL must be a redis:// or rediss:// address.',
    why,
    'Correct it, such as redis://127.0.0.1:6379, or leave it out to keep answers in memory alone.',
  );
}

function openaiOf(env: Environment): ModelServer | undefined {
  const baseUrl = set(env, 'OPENAI_BASE_URL');
  const apiKey = set(env, 'OPENAI_API_KEY');
  if (baseUrl === undefined) return undefined;
  if (apiKey === undefined) {
    throw new StartError(
      'OPENAI_API_KEY is missing.',
      'OPENAI_BASE_URL is set, and means nothing without it.',
      'Set OPENAI_API_KEY as well (any text will do for a server that asks for none), or neither.',
    );
  }
  return { baseUrl: urlOf(baseUrl, 'OPENAI_BASE_URL'), apiKey, model: set(env, 'OPENAI_MODEL') ?? 'gpt-4o-mini' };
}
