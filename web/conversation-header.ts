import type { Conversations } from './conversations.ts';
import { DirectConversation } from './direct-conversation.ts';
import { byId, icon, setText } from './dom.ts';
import { oncePerFrame } from './once-per-frame.ts';
import { dot, presenceWords } from './person.ts';

/** Name of the conversation that is shown, and what can be done with it. */
export class ConversationHeader {
  readonly #conversations: Conversations;
  readonly #sign = byId('title-sign', HTMLElement);
  readonly #title = byId('title', HTMLElement);
  readonly #subtitle = byId('subtitle', HTMLElement);
  readonly #leave = byId('leave', HTMLButtonElement);
  readonly #share = byId('share', HTMLButtonElement);
  readonly #people = byId('open-people', HTMLButtonElement);
  readonly #ended = byId('ended', HTMLElement);
  readonly #endedWords = byId('ended-words', HTMLElement);
  readonly #beginning = byId('beginning-title', HTMLElement);
  readonly #invitation = byId('beginning-invitation', HTMLElement);
  readonly #nothing = byId('nothing', HTMLElement);
  #signed = '';

  constructor(conversations: Conversations) {
    this.#conversations = conversations;
    const draw = oncePerFrame(() => this.#draw());
    conversations.changes.on(draw);
    conversations.opened.on(draw);
    this.#leave.addEventListener('click', () => {
      if (conversations.current !== null) conversations.leave(conversations.current);
    });
    byId('rejoin', HTMLButtonElement).addEventListener('click', () => conversations.current?.rejoin());
  }

  #draw(): void {
    const { current } = this.#conversations;
    const isRoom = current?.kind === 'room';
    const partner = current instanceof DirectConversation ? current.partner : null;
    const sign = isRoom ? 'room' : (partner?.status ?? '');
    if (sign !== this.#signed) {
      this.#signed = sign;
      this.#sign.replaceChildren(...(isRoom ? [icon('room')] : partner === null ? [] : [dot(partner.status)]));
    }
    setText(this.#title, current?.name ?? 'No room');
    const text = partner?.text === undefined ? '' : ` · ${partner.text}`;
    setText(this.#subtitle, partner === null ? '' : `${presenceWords(partner)}${text}`);
    setText(this.#beginning, `Beginning of ${isRoom ? '' : 'your messages with '}${current?.name ?? ''}`);
    this.#invitation.hidden = !isRoom;
    this.#leave.hidden = current === null;
    this.#share.hidden = !isRoom;
    this.#people.hidden = current === null;
    const name = isRoom ? 'Leave this room' : 'Close this conversation';
    this.#leave.ariaLabel = name;
    this.#leave.title = name;
    setText(this.#endedWords, current?.ended ?? '');
    this.#ended.hidden = (current?.ended ?? '') === '';
    this.#nothing.hidden = current !== null;
  }
}
