import type { Client } from '../src/client/client.ts';
import { BOUNDS } from '../src/protocol/bounds.ts';
import type { Conversation } from './conversation.ts';
import type { Conversations } from './conversations.ts';
import { byId, setText } from './dom.ts';
import { oncePerFrame } from './once-per-frame.ts';
import { RoomConversation } from './room-conversation.ts';
import { byteLength, wellFormed } from './text.ts';
import { TypingNotice, typingWords } from './typing.ts';

const COMPOSING_CODE = 229;

/** Where one writes, and where one sees that others do. */
export class Composer {
  readonly #client: Client;
  readonly #conversations: Conversations;
  readonly #form = byId('compose', HTMLFormElement);
  readonly #text = byId('text', HTMLTextAreaElement);
  readonly #send = byId('send', HTMLButtonElement);
  readonly #complaint = byId('complaint', HTMLElement);
  readonly #typing = byId('typing', HTMLElement);
  readonly #notice = new TypingNotice((isTyping) => this.#shown?.notice(isTyping));
  #shown: Conversation | null = null;

  constructor(client: Client, conversations: Conversations) {
    this.#client = client;
    this.#conversations = conversations;
    conversations.opened.on((conversation) => this.#show(conversation));
    conversations.changes.on(oncePerFrame(() => this.#drawState()));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('keydown', (event) => {
      // While letters are composed, Enter chooses among them; Safari tells by the code alone.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === COMPOSING_CODE) return;
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('input', () => {
      if (this.#text.value === '') this.#notice.ended();
      else this.#notice.typed();
      this.#checkLength();
      this.#fit();
    });
    this.#text.addEventListener('blur', () => this.#notice.ended());
  }

  /** Where one can write at once: but a touch keyboard would cover what is to be read first. */
  focus(): void {
    if (!matchMedia('(pointer: coarse)').matches) this.#text.focus();
  }

  #show(conversation: Conversation | null): void {
    if (conversation === this.#shown) return;
    this.#notice.ended();
    if (this.#shown !== null) this.#shown.draft = this.#text.value;
    this.#shown = conversation;
    this.#form.hidden = conversation === null;
    this.#text.value = conversation?.draft ?? '';
    const to = conversation?.kind === 'direct' ? conversation.name : `#${conversation?.name}`;
    this.#text.placeholder = `Message ${to}`;
    this.#checkLength();
    this.#fit();
    this.#drawState();
  }

  #submit(): void {
    const text = this.#text.value;
    if (this.#shown === null || text.trim() === '' || !this.#checkLength()) return;
    // Half a surrogate pair is no text that could be sent.
    this.#shown.outgoing.add(wellFormed(text));
    this.#text.value = '';
    this.#notice.ended();
    this.#fit();
  }

  /** Whether what is written can be sent; says it if not. */
  #checkLength(): boolean {
    const max = this.#client.session?.limits.dataBytesMax ?? BOUNDS.dataBytesMax;
    const to = this.#shown?.kind === 'direct' ? this.#shown.name : undefined;
    const data = JSON.stringify({ text: wellFormed(this.#text.value), to });
    const over = byteLength(data) - max;
    setText(this.#complaint, over > 0 ? `Too long by ${over.toLocaleString('en')} bytes` : '');
    this.#send.disabled = over > 0;
    return over <= 0;
  }

  /** As high as what is written. */
  #fit(): void {
    const { style } = this.#text;
    style.height = 'auto';
    style.height = `${this.#text.scrollHeight}px`;
  }

  #drawState(): void {
    const { current } = this.#conversations;
    this.#text.disabled = (current?.ended ?? '') !== '';
    setText(this.#typing, current instanceof RoomConversation ? typingWords(current.typing.users) : '');
  }
}
