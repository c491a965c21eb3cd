import { type Clock, linkAbort, untilAborted } from '../../kernel/index.js';
import type { NodeAddress, OpenClient } from './node-client.js';

export interface SentinelQuestion {
  /** What the Sentinels call the servers that they watch. */
  readonly name: string;
  readonly sentinels: readonly NodeAddress[];
  readonly open: OpenClient;
  readonly clock: Clock;
}

/** One that does not answer is passed over (https://redis.io/docs/latest/develop/reference/sentinel-clients/). */
const answerWithinMs = 1_000;

/** The server in charge as the first Sentinel knows it that answers. */
export async function masterOf(question: SentinelQuestion, signal: AbortSignal): Promise<NodeAddress> {
  const failures: unknown[] = [];
  for (const sentinel of question.sentinels) {
    signal.throwIfAborted();
    try {
      return await ask(question, sentinel, signal);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no Sentinel names a server for '${question.name}'`);
}

async function ask(
  { name, open, clock }: SentinelQuestion,
  at: NodeAddress,
  signal: AbortSignal,
): Promise<NodeAddress> {
  const link = linkAbort({ parents: [signal], timeoutMs: answerWithinMs, clock, what: 'A question to a Sentinel' });
  const client = await open(at, link.signal);
  client.on('error', () => {}); // what failed rejects as well
  try {
    await untilAborted(client.connect(), link.signal);
    const answer = await untilAborted(client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]), link.signal);
    if (!Array.isArray(answer)) throw new Error(`the Sentinel at ${at.host}:${at.port} does not know '${name}'`);
    return { host: String(answer[0]), port: Number(answer[1]) };
  } finally {
    if (client.isOpen) client.destroy();
    link.abort();
  }
}
