import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { helpFor, readConfig } from './config.js';
import { modelsOf } from './start.js';

const read = (args: string[], env: Record<string, string> = {}) => readConfig(args, env, 'main');

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(read([])).toEqual({
      port: 3000,
      portGiven: false,
      host: '127.0.0.1',
      docs: undefined,
      cacheFile: undefined,
      redisUrl: undefined,
      openai: undefined,
      ollama: undefined,
      modelTimeout: '60s',
      modelLimits: [],
      exit: false,
      notes: [],
    });
  });

  it('lets flags win over the environment, and an empty variable count as none', () => {
    const env = { PORT: '4000', DOCS_DIR: '/env', HOST: '', OLLAMA_URL: ' ' };
    expect(read(['--port', '0', '--docs=/flag'], env)).toMatchObject({
      port: 0,
      portGiven: true,
      docs: '/flag',
      host: '127.0.0.1',
      ollama: undefined,
    });
    expect(read([], env)).toMatchObject({ port: 4000, portGiven: true, docs: '/env' });
  });

  it('refuses unknown flags and names the known ones', () => {
    expect(() => read(['--prot', '1'])).toThrow(
      /--prot[\s\S]*--docs DIR, --cache FILE, --port NUMBER, --host ADDRESS\.$/,
    );
    expect(() => read(['--exit'])).toThrow(/--exit/);
    expect(() => read(['folder'])).toThrow(/folder/);
    expect(() => read(['--docs'])).toThrow(/--docs/);
    expect(() => read(['--docs', ''])).toThrow('--docs needs a value');
    expect(() => read(['--cache='])).toThrow('--cache needs a value');
    expect(readConfig(['--exit'], {}, 'demo').exit).toBe(true);
  });

  it.each(['-1', '65536', 'abc', '1.5', '0x10'])('refuses the port %s', (port) => {
    expect(() => read([], { PORT: port })).toThrow(
      `PORT must be a whole number from 0 to 65535.\n  Why:  It is '${port}'.`,
    );
  });

  it('takes a folder from where the user stands, whatever folder npm runs its script in', () => {
    expect(read(['--docs', 'notes'], { INIT_CWD: '/where/ada' }).docs).toBe('/where/ada/notes');
    expect(read([], { DOCS_DIR: '../notes', INIT_CWD: '/where/ada' }).docs).toBe('/where/notes');
    expect(read(['--docs', 'notes']).docs).toBe(resolve('notes'));
  });

  it('takes a file for the cache in the same way', () => {
    const env = { CACHE_FILE: 'env.sqlite', INIT_CWD: '/where/ada' };
    expect(read([], env).cacheFile).toBe('/where/ada/env.sqlite');
    expect(read(['--cache', '/flag.sqlite'], env).cacheFile).toBe('/flag.sqlite');
    expect(read([], { CACHE_FILE: ' ' }).cacheFile).toBeUndefined();
    expect(readConfig(['--cache', 'demo.sqlite'], {}, 'demo').cacheFile).toBe(resolve('demo.sqlite'));
  });

  it('takes a Redis, but not beside a file, and says so where a flag names one', () => {
    const env = { REDIS_URL: ' rediss://user:p%40ss@redis.example:6380/2 ' };
    expect(read([], env)).toMatchObject({ redisUrl: env.REDIS_URL.trim(), cacheFile: undefined, notes: [] });
    expect(read([], { REDIS_URL: '' }).redisUrl).toBeUndefined();
    expect(() => read([], { ...env, CACHE_FILE: 'x' })).toThrow('REDIS_URL and CACHE_FILE are both set.');
    expect(read(['--cache', '/flag.sqlite'], env)).toMatchObject({
      redisUrl: undefined,
      cacheFile: '/flag.sqlite',
      notes: ['REDIS_URL is not used, since --cache names a file.'],
    });
  });

  it.each([
    ['secret-key', 'It begins with neither.'],
    ['secret-key:6379', 'It begins with neither.'],
    ['HTTP://secret-key@host', "It begins with 'http://'."],
    ['redis://', 'It has no host, or a port that cannot be.'],
    ['redis:///secret-key', 'It has no host, or a port that cannot be.'],
    ['redis://:secret-key@host:65536', 'It has no host, or a port that cannot be.'],
    ['redis://:secret-key@host/db', 'What comes after its host is not the number of a database.'],
    ['redis://:secret-key%@host', 'Its user name or password has a % that is not written as %25.'],
  ])('refuses %s as a Redis, without repeating it', (url, why) => {
    const faulty = () => read([], { REDIS_URL: url });
    expect(faulty).toThrow(`REDIS_URL must be a redis:// or rediss:// address.\n  Why:  ${why}\n  Mend: Correct it`);
    expect(faulty).toThrow(/^(?![\s\S]*secret-key)/);
  });

  it('notes in one line that an OpenAI key alone is not used, and answers without it', () => {
    const { openai, notes } = read([], { OPENAI_API_KEY: 'secret-key' });
    expect(openai).toBeUndefined();
    expect(notes).toEqual(['OPENAI_API_KEY is not used, since OPENAI_BASE_URL is not set: nothing is sent to OpenAI.']);
  });

  it('refuses an OpenAI address without a key, and addresses that are not http', () => {
    expect(() => read([], { OPENAI_BASE_URL: 'http://x/v1' })).toThrow('OPENAI_API_KEY is missing');
    expect(() => read([], { OPENAI_BASE_URL: 'x', OPENAI_API_KEY: 'secret-key' })).toThrow("It is 'x'");
    expect(() => read([], { OLLAMA_URL: 'localhost:11434' })).toThrow(
      'OLLAMA_URL must be an http:// or https:// address',
    );
  });

  it('takes a time for the first word, and refuses what is none', () => {
    expect(read([], { MODEL_TIMEOUT: '2m' }).modelTimeout).toBe('2m');
    for (const bad of ['soon', '0s', '-1s', '90']) {
      expect(() => read([], { MODEL_TIMEOUT: bad })).toThrow(/MODEL_TIMEOUT must be a duration above 0/);
    }
  });

  it('takes a quota for the model servers, and says so where there are none', () => {
    const server = { OLLAMA_URL: 'http://b' };
    expect(read([], { ...server, MODEL_RPM: '60' })).toMatchObject({
      modelLimits: [{ limit: 60, window: '1m' }],
      notes: [],
    });
    expect(read([], { MODEL_RPM: '60' }).notes).toEqual([
      'MODEL_RPM and the like are not used, since no model server is configured.',
    ]);
    expect(read([], { ...server, MODEL_QUOTA_ZONE: 'Europe/Berlin' }).notes).toEqual([
      'MODEL_QUOTA_ZONE is not used, since MODEL_RPD is not set: it says where the day of that quota begins.',
    ]);
    expect(() => read([], { MODEL_TPM: '10k' })).toThrow('MODEL_TPM must be a whole number');
  });

  it('never prints the key', () => {
    const faulty = () => read([], { OPENAI_API_KEY: 'secret-key', OPENAI_BASE_URL: 'x' });
    expect(faulty).toThrow(/^(?![\s\S]*secret-key)/);
  });

  it('says how to start each program, to those who ask', () => {
    expect(helpFor(['--port', '1'], 'main')).toBeUndefined();
    expect(helpFor(['--help'], 'main')).toMatch(/^Usage: node [\s\S]*--docs DIR/);
    expect(helpFor(['-h'], 'main')).not.toContain('--exit');
    expect(helpFor(['-h'], 'main')).toContain('MODEL_RPM, MODEL_TPM, MODEL_RPD');
    expect(helpFor(['--port', '1', '-h'], 'demo')).toMatch(/^Usage: npm run demo -- [\s\S]*--exit/);
  });
});

describe('modelsOf', () => {
  const fetch = () => Promise.reject(new Error('not called'));
  const names = (env: Record<string, string>) =>
    modelsOf(read([], env), fetch).map(({ model, weight }) => [model.name, weight]);

  it('asks the configured servers first, in a fixed order, and the extractive model last', () => {
    const openai = { OPENAI_BASE_URL: 'http://a/v1', OPENAI_API_KEY: 'k', OPENAI_MODEL: 'big' };
    const ollama = { OLLAMA_URL: 'http://b' };
    expect(names({})).toEqual([['extractive', undefined]]);
    expect(names(ollama)).toEqual([
      ['ollama:llama3.2', undefined],
      ['extractive', 0],
    ]);
    expect(names({ ...ollama, ...openai })).toEqual([
      ['openai:big', undefined],
      ['ollama:llama3.2', 0],
      ['extractive', 0],
    ]);
  });

  it('limits what each server is asked, and not what the extractive model is', () => {
    const env = { OPENAI_BASE_URL: 'http://a/v1', OPENAI_API_KEY: 'k', OLLAMA_URL: 'http://b', MODEL_RPM: '5' };
    const limits = { limits: [{ limit: 5, window: '1m' }] };
    expect(modelsOf(read([], env), fetch).map((backend) => backend.limits)).toEqual([limits, limits, undefined]);
  });
});
