// Talks to the server: one question, its answer as it is streamed.

/** A failure that people can read. */
export class ChatError extends Error {
  constructor(title, detail, retryAfterSeconds) {
    super(detail);
    this.title = title;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Yields `{ event, data }` for each event of the answer. Aborting the signal ends the stream and the work behind it. */
export async function* ask(question, signal) {
  const response = await post(question, signal);
  let complete = false;
  try {
    for await (const event of eventsOf(response.body)) {
      if (event.event === 'error') throw problem(event.data);
      if (event.event === 'done') complete = true;
      yield event;
    }
  } catch (error) {
    if (error instanceof ChatError || signal.aborted) throw error;
    throw new ChatError('The answer broke off', 'The connection to the server was lost.');
  }
  if (!complete) throw new ChatError('The answer broke off', 'The server ended it before it was complete.');
}

export async function getJson(path) {
  let response;
  try {
    response = await fetch(path, { headers: { accept: 'application/json' } });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

async function post(question, signal) {
  let response;
  try {
    response = await fetch('/api/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ question }),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

function unreachable() {
  return new ChatError('The server cannot be reached', 'It may have been stopped, or the network may be down.');
}

async function problemOf(response) {
  const retryAfter = Number(response.headers.get('retry-after'));
  try {
    return problem(await response.json(), retryAfter);
  } catch {
    return new ChatError('The server has a problem', `It answered with status ${response.status}.`);
  }
}

function problem(data, retryAfter = 0) {
  const title = typeof data?.title === 'string' ? data.title : 'Something went wrong';
  const detail = typeof data?.detail === 'string' ? data.detail : 'The server did not say why.';
  return new ChatError(title, detail, retryAfter > 0 ? retryAfter : undefined);
}

/** Server-sent events by the book: blocks end at an empty line, `data` lines are joined, comments are skipped. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const event = eventOf(part);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // a stream that failed or was aborted needs no cancelling
  }
}

function eventOf(block) {
  let event = 'message';
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const match = /^(event|data): ?(.*)$/.exec(line);
    if (match?.[1] === 'event') event = match[2];
    else if (match) data.push(match[2]);
  }
  return data.length > 0 ? { event, data: JSON.parse(data.join('\n')) } : undefined;
}
