import { byId } from './dom.ts';

/** Where there is no room for three columns, the list and the people come in from the side when they are asked for. */
export class Drawers {
  readonly #chat = byId('chat', HTMLElement);
  readonly #scrim = byId('scrim', HTMLElement);
  readonly #drawers: readonly Drawer[];
  #open: Drawer | null = null;

  constructor() {
    this.#drawers = [
      new Drawer(byId('sidebar', HTMLElement), byId('open-sidebar', HTMLButtonElement), '(max-width: 719px)'),
      new Drawer(byId('people', HTMLElement), byId('open-people', HTMLButtonElement), '(max-width: 1099px)'),
    ];
    for (const drawer of this.#drawers) {
      drawer.opener.addEventListener('click', () => this.#toggle(drawer));
      for (const closer of drawer.element.querySelectorAll('.close-drawer')) {
        closer.addEventListener('click', () => this.close());
      }
      drawer.media.addEventListener('change', () => this.close());
    }
    this.#scrim.addEventListener('click', () => this.close());
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') this.close();
    });
  }

  /** Closes the drawer that is open; the focus is then where it was opened. */
  close(): void {
    const drawer = this.#open;
    if (drawer === null) return;
    this.#open = null;
    this.#show();
    drawer.opener.focus();
  }

  #toggle(drawer: Drawer): void {
    if (!drawer.media.matches) {
      // There is room for it beside the rest: it can be put away, and is there again at the next visit.
      const isAway = this.#chat.classList.toggle('without-people');
      drawer.opener.ariaExpanded = String(!isAway);
      return;
    }
    this.#open = this.#open === drawer ? null : drawer;
    this.#show();
    const first = drawer.element.querySelector<HTMLElement>('[aria-current], button');
    if (this.#open === drawer) first?.focus();
  }

  #show(): void {
    this.#scrim.hidden = this.#open === null;
    for (const drawer of this.#drawers) drawer.show(drawer === this.#open);
    // Nothing behind an open drawer can be reached.
    for (const part of this.#chat.children) {
      if (part instanceof HTMLElement && part !== this.#scrim) {
        part.inert = this.#open !== null && part !== this.#open.element;
      }
    }
  }
}

class Drawer {
  readonly element: HTMLElement;
  readonly opener: HTMLButtonElement;
  /** Holds where the element is a drawer, and no column. */
  readonly media: MediaQueryList;

  constructor(element: HTMLElement, opener: HTMLButtonElement, media: string) {
    this.element = element;
    this.opener = opener;
    this.media = matchMedia(media);
    opener.ariaExpanded = String(!this.media.matches);
  }

  show(isOpen: boolean): void {
    this.element.classList.toggle('open', isOpen);
    this.opener.ariaExpanded = String(isOpen || !this.media.matches);
  }
}
