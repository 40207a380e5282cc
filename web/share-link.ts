import type { Conversations } from './conversations.ts';
import { byId, setText } from './dom.ts';

const FEEDBACK_MS = 2_500;

/** Copies the link that leads others into the room; where there is no clipboard, shows it to be copied by hand. */
export class ShareLink {
  readonly #label = byId('share-label', HTMLElement);
  readonly #told = byId('share-told', HTMLElement);
  readonly #dialog = byId('link-dialog', HTMLDialogElement);
  readonly #link = byId('link', HTMLInputElement);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(conversations: Conversations) {
    const share = () => {
      const { current } = conversations;
      if (current?.kind === 'room') void this.#share(joinLink(current.name));
    };
    byId('share', HTMLButtonElement).addEventListener('click', share);
    byId('beginning-share', HTMLButtonElement).addEventListener('click', share);
  }

  async #share(link: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(link);
      this.#say('Copied');
    } catch {
      // Outside of secure contexts there is none, and people may refuse it.
      this.#link.value = link;
      this.#dialog.showModal();
      this.#link.select();
    }
  }

  #say(words: string): void {
    setText(this.#label, words);
    setText(this.#told, 'The link is on the clipboard');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      setText(this.#label, 'Copy link');
      setText(this.#told, '');
    }, FEEDBACK_MS);
  }
}

function joinLink(room: string): string {
  const link = new URL('./', location.href);
  link.search = String(new URLSearchParams({ room }));
  link.hash = '';
  return link.href;
}
