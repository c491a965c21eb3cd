import type { Clock } from '../kernel/index.js';
import type { ProviderAnswer } from './limiter-types.js';

/** `fetch` as it is, with the status and the headers of each answer told, once they are there. */
export function observedFetch(
  fetch: typeof globalThis.fetch,
  clock: Clock,
  onAnswer: (answer: Omit<ProviderAnswer, 'key'>) => void,
): typeof globalThis.fetch {
  return async function fetchObserved(input, init) {
    const sentAt = clock.now();
    const response = await fetch(input, init);
    onAnswer({ status: response.status, headers: response.headers, sentAt });
    return response;
  };
}
