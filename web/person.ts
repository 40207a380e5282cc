import type { UserPresence } from '../src/client/client.ts';
import type { UserState } from '../src/protocol/presence-state.ts';
import { make, spoken } from './dom.ts';

const TINTS = 12;
const MINUTE_MS = 60_000;

export const STATUS_WORDS: Readonly<Record<UserState['status'], string>> = {
  online: 'Online',
  away: 'Away',
  dnd: 'Do not disturb',
  offline: 'Offline',
};

/** The first letters of a name, on a colour that is always the same for it; one's own is set apart. */
export function avatar(user: string, isSelf: boolean): HTMLElement {
  let hash = 0;
  for (const letter of user) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  const tint = isSelf ? 'self' : `tint-${((hash ^ (hash >>> 15)) >>> 0) % TINTS}`;
  const letters = user.replace(/[^A-Za-z0-9]/g, '').slice(0, 2) || '@';
  const element = make('span', `avatar ${tint}`, letters);
  element.ariaHidden = 'true';
  return element;
}

/** A status as a shape, which says it also without its colour. */
export function dot(status: UserState['status']): HTMLElement {
  return make('span', `dot ${status}`, spoken(STATUS_WORDS[status]));
}

/** What a user says of themself; written by others, and kept to its own box. */
export function statusText(text: string): HTMLElement {
  const element = make('span', 'status-text', text);
  element.dir = 'auto';
  element.title = text;
  return element;
}

/** How somebody is, without what they say of it. */
export function presenceWords({ status, devices, lastSeenMs }: UserPresence): string {
  if (status !== 'offline') return devices > 1 ? `${STATUS_WORDS[status]}, ${devices} devices` : STATUS_WORDS[status];
  return lastSeenMs === 0 ? 'Offline' : `Offline · last here ${ago(lastSeenMs)}`;
}

function ago(ms: number): string {
  const minutes = Math.round((Date.now() - ms) / MINUTE_MS);
  if (minutes < 1) return 'just now';
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  if (minutes < 60) return words.format(-minutes, 'minute');
  const hours = Math.round(minutes / 60);
  return hours < 24 ? words.format(-hours, 'hour') : words.format(-Math.round(hours / 24), 'day');
}
