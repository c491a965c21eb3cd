// The sheet at the side that shows a passage, with the quoted part marked.

import { getJson } from './chat.js';
import { renderMarkdown } from './markdown.js';

const byId = (id) => document.getElementById(id);
const panel = byId('panel');
const title = byId('panel-title');
const trail = byId('panel-trail');
const text = byId('panel-text');
const place = byId('panel-place');
const neighbours = { previous: byId('panel-previous'), next: byId('panel-next') };
/** Only the passage that was asked for last is shown. */
let wanted = 0;

byId('panel-close').addEventListener('click', () => panel.close());
panel.addEventListener('click', (event) => {
  if (event.target === panel) panel.close(); // the ground around the sheet
});
panel.addEventListener('close', () => {
  if (location.hash) history.replaceState(null, '', location.pathname);
});
for (const button of Object.values(neighbours)) {
  button.addEventListener('click', () => openPassage(button.dataset.id));
}

/** @param quote an exact part of the passage, to be marked */
export async function openPassage(id, quote) {
  const turn = ++wanted;
  if (!panel.open) {
    show({ title: 'Opening …', headings: [], text: '', document: '' });
    panel.showModal();
  }
  try {
    const passage = await getJson(`/api/passages/${encodeURIComponent(id)}`);
    if (turn === wanted) show(passage, quote);
  } catch (error) {
    if (turn === wanted)
      show({ title: error.title ?? 'Something went wrong', headings: [], text: error.message, document: '' });
  }
  title.focus({ preventScroll: true });
}

function show(passage, quote) {
  const [heading, ...above] = [...passage.headings].reverse();
  title.textContent = heading ?? passage.title;
  trail.textContent = heading === undefined ? '' : [passage.title, ...above.reverse()].join(' › ');
  trail.hidden = heading === undefined;
  const start = quote ? passage.text.indexOf(quote) : -1;
  renderMarkdown(text, passage.text, { marked: start < 0 ? undefined : [start, start + quote.length] });
  hideRepeatedHeading(heading ?? passage.title);
  place.textContent = passage.document ? `${passage.document}:${passage.startLine}` : '';
  for (const [side, button] of Object.entries(neighbours)) {
    button.disabled = !passage[side];
    button.dataset.id = passage[side] ?? '';
  }
  text.scrollTop = 0;
  text.querySelector('mark')?.scrollIntoView({ block: 'center' });
}

/** The title of the sheet says it already. */
function hideRepeatedHeading(heading) {
  const first = text.firstElementChild;
  if (first?.className === 'heading' && first.textContent === heading && !first.querySelector('mark'))
    first.hidden = true;
}
