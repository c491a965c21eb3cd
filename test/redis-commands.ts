import { connect } from 'node:net';
import { command } from './services.js';

export type RedisReply = string | number | null | readonly RedisReply[];

const replyTimeoutMs = 3_000;

/**
 * Asks a Redis of this machine on a plain socket, so that no client library is part of the proof.
 *
 * @throws what the server refuses with, and `Error` when no reply comes within 3 s
 */
export function redisCommand(port: number, ...words: readonly string[]): Promise<RedisReply> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    let received = Buffer.alloc(0);
    const lateness = setTimeout(
      () => fail(new Error(`${words[0]}: nothing came within ${replyTimeoutMs} ms`)),
      replyTimeoutMs,
    );
    socket.once('error', fail);
    socket.once('close', () => {
      clearTimeout(lateness);
      reject(new Error(`${words[0]}: the connection was closed`));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      try {
        const reply = parseReply(received, 0);
        if (!reply) return;
        resolve(reply.value);
        socket.end();
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.write(command(...words));
  });
}

interface Parsed {
  readonly value: RedisReply;
  readonly end: number;
}

/** @returns undefined while more has to come */
function parseReply(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start);
  if (lineEnd === -1) return undefined;
  const line = bytes.toString('utf8', start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (bytes.toString('latin1', start, start + 1)) {
    case '+':
      return { value: line, end: next };
    case '-':
      throw new Error(line);
    case ':':
      return { value: Number(line), end: next };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      if (bytes.length < next + length + 2) return undefined;
      return { value: bytes.toString('utf8', next, next + length), end: next + length + 2 };
    }
    case '*':
      return parseList(bytes, Number(line), next);
    default:
      throw new Error(`This is no reply of Redis: ${bytes.toString('utf8', start, lineEnd)}`);
  }
}

function parseList(bytes: Buffer, length: number, start: number): Parsed | undefined {
  if (length < 0) return { value: null, end: start };
  const values: RedisReply[] = [];
  let end = start;
  while (values.length < length) {
    const element = parseReply(bytes, end);
    if (!element) return undefined;
    values.push(element.value);
    end = element.end;
  }
  return { value: values, end };
}
