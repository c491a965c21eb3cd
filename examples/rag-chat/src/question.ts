import type { ChatMessage } from '@warmpath/core/models';
import { HttpProblem } from '@warmpath/express';
import { isStopWord, wordsOf } from './tokens.js';

/** What somebody asked, checked. */
export interface Question {
  /** The whole conversation, the question last. */
  readonly messages: readonly ChatMessage[];
  /** What to look for in the documents. */
  readonly searchFor: string;
}

const longestQuestion = 2_000;
const longestMessage = 8_000;
const mostMessages = 50;
const fields = ['question', 'messages'];

/**
 * Reads the body of a chat request: `{ "question": "..." }`, or `{ "messages": [...] }` ending with the user's question.
 * White space is made regular, so that the same words are the same question.
 * @throws HttpProblem 400, 413 or 415, saying what, why and how to mend it
 */
export function readQuestion(body: unknown): Question {
  if (body === undefined) {
    throw new HttpProblem(
      415,
      'There is no JSON',
      'The body must be JSON: send { "question": "..." } with the header Content-Type: application/json.',
    );
  }
  if (!isRecord(body)) throw wrong(`The body must be an object, such as { "question": "..." }; it is ${kindOf(body)}.`);
  const unknown = Object.keys(body).find((name) => !fields.includes(name));
  if (unknown !== undefined) {
    throw wrong(`There is no field '${unknown.slice(0, 60)}'. The body takes either 'question' or 'messages'.`);
  }
  const { question, messages } = body;
  if (question !== undefined && messages !== undefined) {
    throw wrong("The body holds both 'question' and 'messages'. Send one of them.");
  }
  if (messages !== undefined) return readConversation(messages);
  const content = readText(question, "'question'", longestQuestion);
  return { messages: [{ role: 'user', content }], searchFor: content };
}

function readConversation(value: unknown): Question {
  if (!Array.isArray(value) || value.length === 0 || value.length > mostMessages) {
    const got = Array.isArray(value) ? `a list of ${value.length}` : kindOf(value);
    throw wrong(`'messages' must be a list of 1 to ${mostMessages} messages; it is ${got}.`);
  }
  const last = value.length - 1;
  const messages = value.map((item, at) => readMessage(item, at, at === last ? longestQuestion : longestMessage));
  const question = messages[last];
  if (question?.role !== 'user') throw wrong("The last message is the question: its 'role' must be 'user'.");
  return { messages, searchFor: searchText(messages) };
}

function readMessage(value: unknown, at: number, longest: number): ChatMessage {
  const name = `'messages[${at}]'`;
  if (!isRecord(value)) throw wrong(`${name} must be an object with 'role' and 'content'; it is ${kindOf(value)}.`);
  const { role, content, ...rest } = value;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) throw wrong(`${name} has no field '${unknown.slice(0, 60)}', only 'role' and 'content'.`);
  if (role !== 'user' && role !== 'assistant') throw wrong(`The 'role' of ${name} must be 'user' or 'assistant'.`);
  return { role, content: readText(content, `The 'content' of ${name}`, longest) };
}

/** "And for a Pool?" is about what was asked before it. */
function searchText(messages: readonly ChatMessage[]): string {
  const asked = messages.filter((message) => message.role === 'user').map((message) => message.content);
  const question = asked.at(-1) ?? '';
  const telling = wordsOf(question).filter((word) => !isStopWord(word)).length;
  return telling < 3 && asked.length > 1 ? `${question} ${asked.at(-2)}` : question;
}

function readText(value: unknown, name: string, longest: number): string {
  if (typeof value !== 'string') throw wrong(`${name} must be text; it is ${kindOf(value)}.`);
  const text = value.replace(/\s+/g, ' ').trim();
  if (text === '') throw wrong(`${name} is empty. Ask something about the documents.`);
  if (text.length > longest) {
    throw new HttpProblem(
      413,
      'The question is too long',
      `${name} has ${text.length} characters and may have ${longest}. Shorten it.`,
    );
  }
  return text;
}

function wrong(detail: string): HttpProblem {
  return new HttpProblem(400, 'The question cannot be read', detail);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
