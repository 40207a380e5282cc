import type { Fault } from './faults.ts';
import type { Entry, ModelPage, ModelRoom } from './model-room.ts';

/** A `disconnect`; codes from 3500 on are for good, and `afterMs` null is left out. */
export function disconnectPush(code: number, afterMs: number | null): string {
  const reconnect = afterMs === null ? {} : { afterMs };
  return JSON.stringify({ push: 'disconnect', code, reason: 'so it is', reconnect: code >= 3500 ? null : reconnect });
}

export function messagePush({ name, log }: ModelRoom, entry: Entry): string {
  // With a member that is to be ignored, as in replies.
  return JSON.stringify({ push: 'message', room: name, epoch: log.epoch, ...entry, more: 'unknown' });
}

export function okReply(id: number, ok: object): string {
  return JSON.stringify({ id, ok, more: { than: 'known' } });
}

export function errorReply(id: number, { code, retryAfterMs }: Fault & { do: 'refuse' }): string {
  return JSON.stringify({ id, error: { code, message: 'not now', retryAfterMs } });
}

export function pageReply(room: string, { messages, position, more, gap }: ModelPage): object {
  const { epoch } = position;
  return {
    room,
    messages: messages.map((entry) => ({ room, epoch, ...entry })),
    position,
    more,
    gap,
  };
}
