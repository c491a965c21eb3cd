import { describe, expect, it } from 'vitest';
import { ConfigError, helpFor, readConfig } from './config.js';

describe('the configuration', () => {
  it('has a default for everything, and an empty variable counts as none', () => {
    const defaults = {
      port: 3001,
      host: '127.0.0.1',
      maxImageBytes: 10_485_760,
      maxUploads: 16,
      vision: undefined,
      cacheFile: undefined,
      redisUrl: undefined,
    };
    expect(readConfig({})).toEqual(defaults);
    expect(readConfig({ PORT: '', OLLAMA_URL: ' ', CACHE_FILE: '' })).toEqual(defaults);
  });

  it('reads what is set', () => {
    const env = {
      PORT: '0',
      HOST: '::1',
      MAX_IMAGE_BYTES: '2048',
      MAX_UPLOADS: '4',
      OLLAMA_URL: 'http://localhost:11434',
      CACHE_FILE: 'captions.sqlite',
    };
    expect(readConfig(env)).toEqual({
      port: 0,
      host: '::1',
      maxImageBytes: 2048,
      maxUploads: 4,
      vision: { baseUrl: 'http://localhost:11434', model: 'llava' },
      cacheFile: 'captions.sqlite',
      redisUrl: undefined,
    });
    const redisUrl = 'rediss://user:word@redis.example:6380/2';
    expect(readConfig({ REDIS_URL: redisUrl })).toMatchObject({ redisUrl, cacheFile: undefined });
    expect(readConfig({ ...env, OLLAMA_VISION_MODEL: 'moondream' }).vision?.model).toBe('moondream');
  });

  it('says which variables there are to those who ask, and takes no flag', () => {
    expect(helpFor([])).toBeUndefined();
    for (const name of [
      'PORT',
      'HOST',
      'MAX_IMAGE_BYTES',
      'MAX_UPLOADS',
      'OLLAMA_URL',
      'OLLAMA_VISION_MODEL',
      'CACHE_FILE',
      'REDIS_URL',
    ]) {
      expect(helpFor(['--help'])).toContain(`  ${name} `);
    }
    expect(() => helpFor(['--port'])).toThrow(ConfigError);
  });

  it.each([
    [{ PORT: '80a' }, "PORT must be a whole number from 0 to 65535, and is '80a'."],
    [{ PORT: '65536' }, "PORT must be a whole number from 0 to 65535, and is '65536'."],
    [{ MAX_IMAGE_BYTES: '-1' }, "MAX_IMAGE_BYTES must be a whole number from 1 to 1073741824, and is '-1'."],
    [{ MAX_UPLOADS: '0' }, "MAX_UPLOADS must be a whole number from 1 to 1000, and is '0'."],
    [
      { OLLAMA_URL: 'localhost:11434' },
      'OLLAMA_URL must be an http:// or https:// address without a user name or password.',
    ],
    [
      { OLLAMA_URL: 'http://me:secret@host' },
      'OLLAMA_URL must be an http:// or https:// address without a user name or password.',
    ],
    [
      { REDIS_URL: 'http://me:secret@host' },
      "REDIS_URL must be a redis:// or rediss:// address. It begins with 'http://'. Correct it, such as redis://127.0.0.1:6379, or leave it out.",
    ],
    [
      { REDIS_URL: 'redis://host', CACHE_FILE: 'captions.sqlite' },
      'REDIS_URL and CACHE_FILE are both set, and captions are kept in one place beside memory. Leave one of them out.',
    ],
  ])('refuses %o in one line', (env, message) => {
    expect(() => readConfig(env)).toThrow(new ConfigError(message));
    expect(message).not.toContain('\n');
  });
});
