import type { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { Batched, Cached, RateLimited, WithFallback } from '../index.js';

/** The compiler is the test here: each `@ts-expect-error` fails the type check when its line compiles. */
class Typed {
  @Cached({ key: (id: string, size: number) => [id, size] })
  @Cached({ key: (id: string) => id })
  @Cached()
  @RateLimited({ limit: 1, window: '1s', key: (id: string) => id })
  async fine(id: string, size: number, _more?: boolean): Promise<string> {
    return `${id} ${size}`;
  }

  // @ts-expect-error a method that answers at once cannot wait for a cache
  @Cached()
  sync(id: string): string {
    return id;
  }

  // @ts-expect-error neither can one that answers with an Observable
  @RateLimited({ limit: 1, window: '1s' })
  observable(): Observable<number> | undefined {
    return undefined;
  }

  // @ts-expect-error the key takes a number, the method a string
  @Cached({ key: (id: number) => id })
  async otherKey(id: string): Promise<string> {
    return id;
  }

  @Cached({ tags: ['all'] })
  @Cached({ tags: () => ['all'] })
  @Cached({ key: (id: string) => id, tags: (id: string, size: number) => [id, String(size)] })
  async tagged(id: string, size: number): Promise<string> {
    return `${id} ${size}`;
  }

  // @ts-expect-error the tags take a number, the method a string
  @Cached({ key: (id: string) => id, tags: (id: number) => [String(id)] })
  async otherTags(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the key takes a number, although the tags fit
  @Cached({ key: (id: number) => id, tags: (id: string) => [id] })
  async tagsAlone(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error tags are a list
  @Cached({ tags: (id: string) => id })
  async oneTag(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the key takes more than the method has
  @RateLimited({ limit: 1, window: '1s', key: (id: string, user: string) => id + user })
  async longKey(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the key is no string
  @RateLimited({ limit: 1, window: '1s', key: (size: number) => size })
  async numberKey(size: number): Promise<number> {
    return size;
  }

  @RateLimited({
    limits: [{ unit: 'tokens', limit: 1, window: '1s' }],
    cost: (text: string) => ({ tokens: text.length }),
  })
  @RateLimited({
    plans: { free: [{ limit: 1, window: '1s' }] },
    plan: (_: string, plan: string) => plan,
    priority: () => 1,
    key: (text: string) => text,
  })
  async costly(text: string, plan: string): Promise<string> {
    return text + plan;
  }

  // @ts-expect-error the cost takes a number, the method a string
  @RateLimited({ limit: 1, window: '1s', key: (text: string) => text, cost: (size: number) => size })
  async otherCost(text: string): Promise<string> {
    return text;
  }

  // @ts-expect-error a cost is a number, or numbers by unit
  @RateLimited({ limit: 1, window: '1s', cost: (text: string) => text })
  async noCost(text: string): Promise<string> {
    return text;
  }

  // @ts-expect-error the plan takes more than the method has
  @RateLimited({ plans: { free: [{ limit: 1, window: '1s' }] }, plan: (_: string, plan: string) => plan })
  async otherPlan(text: string): Promise<string> {
    return text;
  }

  // @ts-expect-error a priority is a number
  @RateLimited({ limit: 1, window: '1s', priority: () => 'high' })
  async otherPriority(text: string): Promise<string> {
    return text;
  }

  @Batched({ run: 'embedMany' })
  async embed(text: string): Promise<number[]> {
    return [text.length];
  }
  @Batched({ run: 'embedReadonly' })
  async embedToo(text: string): Promise<number[]> {
    return [text.length];
  }
  async embedMany(texts: string[]): Promise<(number[] | Error)[]> {
    return texts.map((text) => [text.length]);
  }
  async embedReadonly(texts: readonly string[], _call: { signal: AbortSignal }): Promise<readonly number[][]> {
    return texts.map((text) => [text.length]);
  }

  // @ts-expect-error there is no such method
  @Batched({ run: 'embedNone' })
  async noBatch(text: string): Promise<number[]> {
    return [text.length];
  }

  // @ts-expect-error the batch method answers with something else
  @Batched({ run: 'embedMany' })
  async otherResult(text: string): Promise<string> {
    return text;
  }

  // @ts-expect-error the batch method takes strings
  @Batched({ run: 'embedMany' })
  async otherItem(item: number): Promise<number[]> {
    return [item];
  }

  @WithFallback({ to: 'spare' })
  @WithFallback({ to: (id: string) => id })
  @WithFallback({ to: async () => 'x' })
  async real(id: string): Promise<string> {
    return id;
  }
  spare(id: string): string {
    return id;
  }
  async otherSpare(id: string): Promise<number> {
    return id.length;
  }

  // @ts-expect-error there is no such method
  @WithFallback({ to: 'spear' })
  async misspelt(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the substitute answers with a number
  @WithFallback({ to: 'otherSpare' })
  async otherKind(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the substitute takes a number
  @WithFallback({ to: (id: number) => String(id) })
  async otherArgument(id: string): Promise<string> {
    return id;
  }
}

describe('the types of the decorators', () => {
  it('compile where the decorators work', () => {
    expect(new Typed().spare('a')).toBe('a');
  });
});
