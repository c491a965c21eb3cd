import { faultOf } from './redis-address.js';

/** What the environment says, checked. */
export interface WorkerConfig {
  readonly port: number;
  readonly host: string;
  /** The largest upload that is read. */
  readonly maxImageBytes: number;
  /** The most uploads under way at once; more are refused until one is done. */
  readonly maxUploads: number;
  /** The vision model that writes captions; without one they are built from measurements. */
  readonly vision: { readonly baseUrl: string; readonly model: string } | undefined;
  /** The file that captions are kept in; undefined means memory alone. */
  readonly cacheFile: string | undefined;
  /** The Redis that captions are kept in, for all processes that name it; never beside a file. */
  readonly redisUrl: string | undefined;
}

/** A setting that the worker cannot start with; its message is one line for the person who set it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Environment = Readonly<Record<string, string | undefined>>;

const usage = `Usage: node examples/image-worker/dist/main.js

It takes no flags. The environment decides:

  PORT                 where to listen; default 3001, 0 takes any free one
  HOST                 the address to listen on; default 127.0.0.1
  MAX_IMAGE_BYTES      the largest upload; default 10485760
  MAX_UPLOADS          how many may be under way at once; default 16
  OLLAMA_URL           an Ollama server that writes the captions; default none
  OLLAMA_VISION_MODEL  its model; default llava
  CACHE_FILE           keeps captions in this file as well; default memory alone
  REDIS_URL            keeps them in Redis instead, for all processes that name it; default none`;

/**
 * How to start the worker, for those who ask; undefined without arguments.
 * @throws ConfigError for any other argument
 */
export function helpFor(args: readonly string[]): string | undefined {
  if (args.some((arg) => arg === '--help' || arg === '-h')) return usage;
  if (args.length === 0) return undefined;
  throw new ConfigError(
    `'${args[0]}' is not understood: the worker takes no flags. --help says which variables it reads.`,
  );
}

const mebibyte = 1024 * 1024;

/** @throws ConfigError naming the variable, its rule and what came */
export function readConfig(env: Environment): WorkerConfig {
  const baseUrl = read(env, 'OLLAMA_URL');
  return {
    port: integer(env, 'PORT', 3001, 0, 65_535),
    host: read(env, 'HOST') ?? '127.0.0.1',
    maxImageBytes: integer(env, 'MAX_IMAGE_BYTES', 10 * mebibyte, 1, 1024 * mebibyte),
    maxUploads: integer(env, 'MAX_UPLOADS', 16, 1, 1_000),
    vision:
      baseUrl === undefined ? undefined : { baseUrl: url(baseUrl), model: read(env, 'OLLAMA_VISION_MODEL') ?? 'llava' },
    ...placeOf(env),
  };
}

/** Where captions are kept beside memory is one place. @throws ConfigError */
function placeOf(env: Environment): Pick<WorkerConfig, 'cacheFile' | 'redisUrl'> {
  const cacheFile = read(env, 'CACHE_FILE');
  const redisUrl = read(env, 'REDIS_URL');
  const fault = redisUrl === undefined ? undefined : faultOf(redisUrl);
  if (fault !== undefined) {
    throw new ConfigError(
      `REDIS_URL must be a redis:// or rediss:// address. ${fault} Correct it, such as redis://127.0.0.1:6379, or leave it out.`,
    );
  }
  if (cacheFile === undefined || redisUrl === undefined) return { cacheFile, redisUrl };
  throw new ConfigError(
    'REDIS_URL and CACHE_FILE are both set, and captions are kept in one place beside memory. Leave one of them out.',
  );
}

/** An empty variable counts as one that is not set. */
function read(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || undefined;
}

function integer(env: Environment, name: string, fallback: number, min: number, max: number): number {
  const text = read(env, name);
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new ConfigError(`${name} must be a whole number from ${min} to ${max}, and is '${text}'.`);
}

function url(text: string): string {
  const parsed = URL.parse(text);
  const plain =
    parsed !== null && ['http:', 'https:'].includes(parsed.protocol) && !parsed.username && !parsed.password;
  if (plain) return text;
  throw new ConfigError('OLLAMA_URL must be an http:// or https:// address without a user name or password.');
}
