import { button, icon, make, SVG } from './dom.ts';
import type { OutgoingMessage } from './outgoing.ts';
import { avatar } from './person.ts';
import type { MessageEntry } from './timeline.ts';

/** Beyond these a message is folded until somebody wants all of it. */
const SHOWN_LETTERS = 1_500;
const SHOWN_LINES = 18;
/** Half waves, of 12 pixels each. */
const WAVES = 160;
const DAY_MS = 86_400_000;

const timeFormat = new Intl.DateTimeFormat([], { timeStyle: 'short' });
const fullFormat = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' });
const dayFormat = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' });
const yearFormat = new Intl.DateTimeFormat('en', { dateStyle: 'long' });

export function messageElement({ from, ts, data }: MessageEntry, me: string): HTMLElement {
  const text = (data as { text?: unknown } | null)?.text;
  const body = typeof text === 'string' ? textElement('text', text) : textElement('text json', JSON.stringify(data));
  return frame(from, ts, from === me, body);
}

/** One's own message on its way; `again` and `discard` are for one that failed. */
export function outgoingElement(
  { text, ts, state, reason }: OutgoingMessage,
  me: string,
  again: () => void,
  discard: () => void,
): HTMLElement {
  const element = frame(me, ts, true, textElement('text', text));
  element.classList.add(state);
  if (state === 'failed') {
    const words = make('span', '', reason);
    words.role = 'alert';
    element.append(
      make(
        'div',
        'failure',
        icon('alert'),
        words,
        button('link', again, 'Try again'),
        button('link', discard, 'Discard'),
      ),
    );
  }
  return element;
}

export function dayElement(ts: number): HTMLElement {
  const time = make('time', '', dayWords(ts));
  time.dateTime = new Date(ts).toLocaleDateString('en-CA');
  return make('div', 'day', time);
}

/** A line of waves, as long as there is room for it. */
export function tideMark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'tide-mark');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', `M0 4q6-5 12 0${'t12 0'.repeat(WAVES)}`);
  svg.append(path);
  return svg;
}

function frame(from: string, ts: number, isOwn: boolean, body: Node): HTMLElement {
  const time = make('time', '', timeFormat.format(ts));
  time.dateTime = new Date(ts).toISOString();
  time.title = fullFormat.format(ts);
  const head = make('div', 'head', make('span', 'from', from));
  if (isOwn) head.append(make('span', 'you', 'you'));
  head.append(time);
  return make('div', isOwn ? 'message own' : 'message', avatar(from, isOwn), head, body);
}

function textElement(className: string, text: string): DocumentFragment | HTMLElement {
  const element = make('div', className, text);
  element.dir = 'auto';
  if (text.length <= SHOWN_LETTERS && text.split('\n', SHOWN_LINES + 1).length <= SHOWN_LINES) return element;
  element.classList.add('folded');
  const toggle = button(
    'link unfold',
    () => {
      const isFolded = element.classList.toggle('folded');
      toggle.textContent = isFolded ? 'Show all of it' : 'Show less';
      toggle.ariaExpanded = String(!isFolded);
    },
    'Show all of it',
  );
  toggle.ariaExpanded = 'false';
  const both = document.createDocumentFragment();
  both.append(element, toggle);
  return both;
}

function dayWords(ts: number): string {
  const day = new Date(ts);
  const now = new Date();
  if (day.toDateString() === now.toDateString()) return 'Today';
  if (day.toDateString() === new Date(now.getTime() - DAY_MS).toDateString()) return 'Yesterday';
  return (day.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(ts);
}
