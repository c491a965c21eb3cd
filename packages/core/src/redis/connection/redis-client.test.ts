import { describe, expect, it } from 'vitest';
import { mustHaveClient } from './redis-client.js';

describe('without @redis/client', () => {
  it('a store says at once that it needs it, and how to get it', () => {
    const cause = new Error("Cannot find package '@redis/client'");
    const absent = (): never => {
      throw cause;
    };
    expect(() => mustHaveClient('redisStore()', absent)).toThrow(
      expect.objectContaining({
        code: 'WP_MODULE_MISSING',
        message: expect.stringMatching(
          /^redisStore\(\) needs the package '@redis\/client'.*npm install @redis\/client$/,
        ),
        details: { where: 'redisStore()', module: '@redis/client' },
        cause,
      }),
    );
  });
});
