import type { Conversation } from './conversation.ts';
import type { Conversations } from './conversations.ts';
import type { Identity } from './identity.ts';

/** Keeps what is shown in the address, so that a reload comes back to it and the browser's buttons lead through it. */
export function keepInAddress(conversations: Conversations, { user, token }: Identity): void {
  const queryOf = (conversation: Conversation) => {
    const place = conversation.kind === 'room' ? { room: conversation.name } : { dm: conversation.name };
    // Who has a token is who it says.
    return `?${new URLSearchParams({ ...place, ...(token === null && { user }) })}`;
  };
  let isFirst = true;
  conversations.opened.on((conversation) => {
    const query = conversation === null ? '?' : queryOf(conversation);
    if (query === location.search) return;
    if (isFirst) history.replaceState(null, '', query);
    else history.pushState(null, '', query);
    isFirst = false;
  });
  addEventListener('popstate', () => {
    const query = new URLSearchParams(location.search);
    // Leaving is not undone by going back.
    const isThere = (each: Conversation) => each.name === query.get(each.kind === 'room' ? 'room' : 'dm');
    const conversation = conversations.all.find(isThere);
    if (conversation !== undefined) conversations.open(conversation);
  });
}
