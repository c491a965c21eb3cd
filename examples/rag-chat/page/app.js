// The conversation: asks, shows the answer as it comes, says where it came from.

import { ask, getJson } from './chat.js';
import { renderMarkdown } from './markdown.js';
import { openPassage } from './panel.js';

const byId = (id) => document.getElementById(id);
const log = byId('log');
const composer = byId('composer');
const input = byId('question');
const send = byId('send');
const stop = byId('stop');
/** The model that is meant to answer, once the server has said so. */
let usualModel;
/** Where answers are kept beside memory, as people call it. */
let usualStore;
/** Aborts the answer that is being streamed; undefined while none is. */
let running;

composer.addEventListener('submit', (event) => {
  event.preventDefault();
  const question = input.value.trim();
  if (question === '' || running) return;
  input.value = '';
  fitInput();
  answer(newTurn(question), question);
});
input.addEventListener('input', fitInput);
input.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
stop.addEventListener('click', () => running?.abort());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && running && !byId('panel').open) running.abort();
});
addEventListener('hashchange', openLinked);

fitInput();
openLinked();
introduce();

async function introduce() {
  try {
    const { model, documents, passages, store, notice, suggestions } = await getJson('/api/info');
    usualModel = model;
    usualStore = store;
    const kept = store ? `${model}, answers kept in ${store}` : model;
    const facts = [count(documents, 'document'), count(passages, 'passage'), kept];
    byId('facts').replaceChildren(...facts.map((fact) => element('span', '', fact)));
    byId('notice').textContent = notice ?? '';
    byId('notice').hidden = !notice;
    byId('suggestions').replaceChildren(...suggestions.map(suggestion));
  } catch (error) {
    byId('notice').textContent = `${error.title ?? 'Something went wrong'}. ${error.message}`;
    byId('notice').hidden = false;
  }
}

function suggestion(question) {
  const item = element('li');
  const button = element('button', '', question);
  button.type = 'button';
  button.addEventListener('click', () => {
    if (!running) answer(newTurn(question), question);
  });
  item.append(button);
  return item;
}

function newTurn(question) {
  byId('welcome').hidden = true;
  const turn = element('article', 'turn');
  const reply = element('div', 'answer');
  turn.append(element('p', 'asked', question), reply);
  log.append(turn);
  return reply;
}

async function answer(reply, question) {
  const words = element('div', 'words');
  const waiting = element('div', 'waiting');
  waiting.append(element('i'), element('i'), element('i'));
  reply.replaceChildren(words, waiting);
  reply.setAttribute('aria-busy', 'true');
  const abort = begin();
  const received = { text: '', citations: new Map(), complete: false };
  const draw = drawing(words, received);
  reply.closest('.turn').scrollIntoView({ block: 'nearest' });
  try {
    for await (const { event, data } of ask(question, abort.signal)) {
      if (event === 'text') {
        waiting.remove();
        received.text += data.text;
        draw.soon();
      } else if (event === 'citation') received.citations.set(data.marker, data);
      else if (event === 'done') finish(reply, received, data, draw);
    }
  } catch (error) {
    received.complete = true;
    draw.now();
    if (abort.signal.aborted) reply.append(origin('none', 'stopped by you'));
    else reply.append(trouble(error, () => answer(reply, question)));
  } finally {
    waiting.remove();
    reply.removeAttribute('aria-busy');
    end(abort);
    follow(true);
  }
}

function begin() {
  running = new AbortController();
  send.hidden = true;
  stop.hidden = false;
  return running;
}

function end(abort) {
  if (running !== abort) return;
  running = undefined;
  // Somebody who pressed the button with the keyboard keeps their place.
  const hadFocus = document.activeElement === stop;
  stop.hidden = true;
  send.hidden = false;
  fitInput();
  if (hadFocus) input.focus();
}

function finish(reply, received, outcome, draw) {
  for (const citation of outcome.citations) received.citations.set(citation.marker, citation);
  received.complete = true;
  draw.now();
  if (outcome.citations.length > 0) reply.append(sources(outcome.citations));
  reply.append(origin(outcome.layer, saysOrigin(outcome)));
}

/** Draws at most once a frame, and keeps the end of the answer in sight of somebody who is reading there. */
function drawing(words, received) {
  let planned = 0;
  const now = () => {
    cancelAnimationFrame(planned);
    planned = 0;
    const reading = isAtEnd();
    renderMarkdown(words, received.text, { cite: (marker) => citeButton(marker, received) });
    if (reading) follow(false);
  };
  return {
    now,
    soon() {
      planned ||= requestAnimationFrame(now);
    },
  };
}

/** A marker whose source is still to come waits for it; one that has none in a complete answer is text like any other. */
function citeButton(marker, { citations, complete }) {
  const citation = citations.get(marker);
  if (!citation && complete) return undefined;
  const button = element('button', 'cite', String(marker));
  button.type = 'button';
  button.setAttribute('aria-label', citation ? `Source ${marker}: ${placeOf(citation)}` : `Source ${marker}`);
  button.disabled = !citation;
  if (citation) button.title = placeOf(citation);
  button.addEventListener('click', () => openPassage(citation.passage, citation.quote));
  return button;
}

function sources(citations) {
  const list = element('ul', 'sources');
  list.setAttribute('aria-label', 'Sources');
  for (const citation of citations) {
    const item = element('li');
    const button = element('button');
    button.type = 'button';
    button.append(element('b', '', String(citation.marker)), element('span', '', placeOf(citation)));
    button.addEventListener('click', () => openPassage(citation.passage, citation.quote));
    item.append(button);
    list.append(item);
  }
  return list;
}

function placeOf({ title, heading }) {
  const nearest = heading.split(' › ').at(-1);
  return nearest ? `${title} › ${nearest}` : title;
}

function origin(layer, text) {
  const line = element('p', 'origin', text);
  line.dataset.layer = layer;
  return line;
}

function writer(model) {
  if (standsIn(model)) return `from ${model}, standing in for ${usualModel}`;
  return model === 'extractive' ? 'from the model' : `from ${model}`;
}

function sharedBy(model) {
  return standsIn(model) ? `${writer(model)}, shared` : 'shared';
}

function standsIn(model) {
  return usualModel !== undefined && model !== usualModel;
}

function saysOrigin({ layer, model, ageMs, firstChunkMs, totalMs, reason }) {
  const whole = time(totalMs);
  const cut = reason === 'length' ? ' · cut at the length limit' : '';
  switch (layer) {
    case 'model':
      return `${writer(model)} · first words ${time(firstChunkMs)} · ${whole}${cut}`;
    case 'memory':
      return `from memory, asked ${age(ageMs)} ago · ${whole}${cut}`;
    case 'store':
      return `from ${usualStore ?? 'the store'}, asked ${age(ageMs)} ago · ${whole}${cut}`;
    case 'shared':
      return `${sharedBy(model)} with somebody who asked the same just now · first words ${time(firstChunkMs)} · ${whole}${cut}`;
    default:
      return `no passage fits, so no model was asked · ${whole}`;
  }
}

function trouble(error, retry) {
  const box = element('div', 'trouble');
  box.setAttribute('role', 'alert');
  const text = element('div');
  const wait = error.retryAfterSeconds ? ` It will take questions again in ${error.retryAfterSeconds} s.` : '';
  text.append(element('strong', '', error.title ?? 'Something went wrong'), `${error.message}${wait}`);
  const button = element('button', '', 'Try again');
  button.type = 'button';
  button.addEventListener('click', () => {
    if (!running) retry();
  });
  box.append(text, button);
  return box;
}

function openLinked() {
  const id = new URLSearchParams(location.hash.slice(1)).get('passage');
  if (id) openPassage(id);
}

function fitInput() {
  send.disabled = input.value.trim() === '';
  if (CSS.supports('field-sizing', 'content')) return;
  input.style.height = 'auto';
  input.style.height = `${input.scrollHeight}px`;
}

function isAtEnd() {
  return innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
}

function follow(onlyWhenNear) {
  if (onlyWhenNear && !isAtEnd()) return;
  scrollTo({ top: document.documentElement.scrollHeight });
}

function time(ms) {
  if (ms < 10) return `${ms.toFixed(1).replace(/\.0$/, '')} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function age(ms) {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 1) return 'a moment';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`;
  return seconds < 2 * 86_400 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}

function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
