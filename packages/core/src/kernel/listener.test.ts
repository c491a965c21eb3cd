import { afterEach, describe, expect, it, vi } from 'vitest';
import { safeListener } from './index.js';

afterEach(() => vi.restoreAllMocks());

describe('safeListener', () => {
  it('is nothing where nobody listens', () => {
    expect(safeListener(undefined)).toBeUndefined();
  });

  it('passes every event on, also after one that failed, and says the first failure', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const heard: number[] = [];
    const listen = safeListener((event: number) => {
      heard.push(event);
      if (event < 3) throw new Error('full disk');
    });
    for (const event of [1, 2, 3]) listen?.(event);
    expect(heard).toEqual([1, 2, 3]);
    expect(warned.mock.calls).toEqual([[expect.stringContaining('full disk'), { code: 'WARMPATH_LISTENER' }]]);
  });

  it('says the failure of an async listener as well, instead of ending the process', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const listen = safeListener(async () => {
      throw new Error('no audit log');
    });
    listen?.(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warned).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('no audit log'), {
      code: 'WARMPATH_LISTENER',
    });
    warned.mockRestore();
  });

  it('passes over a failure that refuses to become text', () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const listen = safeListener(() => {
      throw Object.create(null);
    });
    listen?.(1);
    expect(warned).toHaveBeenCalledOnce();
  });
});
