import { isRoom, isUser } from '../src/protocol/names.ts';
import { lastUsed } from './store.ts';

const TOKEN_KEY = 'tidegate.token';
const REFUSED_KEY = 'tidegate.refused';

/** Who enters, and where to. */
export interface Identity {
  readonly user: string;
  readonly token: string | null;
  /** null: whatever was open last, or nothing. */
  readonly room: string | null;
  /** A direct conversation to begin with, instead of a room. */
  readonly partner: string | null;
}

/** What is known before anybody has said who they are: for the fields of the entrance. */
export interface Suggestion {
  readonly user: string;
  readonly room: string;
  readonly token: string;
  /** Why who tried to enter was not let in; empty: nobody was refused. */
  readonly refusal: string;
}

/**
 * Reads who enters from the address: `?user=…&room=…`, or `#token=…`, which goes out of the address bar at once. null
 * if that is not enough, or not allowed.
 */
export function identityOfAddress(): Identity | null {
  takeTokenOfAddress();
  if (sessionItem(REFUSED_KEY) !== null) return null;
  const query = new URLSearchParams(location.search);
  const token = sessionItem(TOKEN_KEY);
  const room = query.get('room');
  const partner = query.get('dm');
  const user = token === null ? query.get('user') : subjectOf(token);
  if (!isUser(user) || (room === null && partner === null)) return null;
  if ((room !== null && !isChosenRoom(room)) || (partner !== null && !isUser(partner))) return null;
  return { user, token, room, partner };
}

export function suggestion(): Suggestion {
  const query = new URLSearchParams(location.search);
  const last = lastUsed();
  const refusal = sessionItem(REFUSED_KEY) ?? '';
  saveSession(REFUSED_KEY, null);
  return {
    user: query.get('user') ?? last.user,
    room: query.get('room') ?? (last.room || 'lobby'),
    token: sessionItem(TOKEN_KEY) ?? '',
    refusal,
  };
}

/** Puts the token where a reload of this tab finds it, and nobody else. */
export function keepToken(token: string | null): void {
  saveSession(TOKEN_KEY, token);
}

/** Back to the entrance, with the reason; what was open is over. */
export function backToEntrance(room: string | null, refusal: string | null): void {
  saveSession(REFUSED_KEY, refusal);
  if (refusal === null) saveSession(TOKEN_KEY, null);
  location.assign(room === null ? './' : `./?${new URLSearchParams({ room })}`);
}

/** Names of rooms that people choose: those with @ in front are the gateway's own. */
export function isChosenRoom(name: string): boolean {
  return isRoom(name) && !name.startsWith('@');
}

/** The user that a token speaks of, as far as one can read it without its key; null if it is none. */
export function subjectOf(token: string): string | null {
  try {
    const [, claims = ''] = token.split('.');
    const { sub } = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))) as { sub?: unknown };
    return isUser(sub) ? sub : null;
  } catch {
    return null;
  }
}

function takeTokenOfAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return;
  history.replaceState(null, '', location.pathname + location.search);
  keepToken(token);
}

function sessionItem(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function saveSession(key: string, value: string | null): void {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // Refused: it is forgotten with the page.
  }
}
