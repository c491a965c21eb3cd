import { type ModelServer, malformed } from './server-errors.js';

/** No protocol line comes near this; a server that sends no line end must not fill the memory. */
export const longestLine: number = 8 * 1024 * 1024;

/** The lines of a text that comes in pieces, without empty ones; the last needs no line end. */
export async function* linesOf(server: ModelServer, chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    rest += chunk;
    if (!chunk.includes('\n')) {
      if (rest.length > longestLine) throw malformed(server, `a line over ${longestLine} characters`, rest);
      continue;
    }
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim()) yield line;
  }
  if (rest.trim()) yield rest;
}
