/** Pixels from the end within which a reader counts as being there. */
const END_PX = 40;

/** Keeps the reader's place: at the end, whatever comes, or with the line that they look at. */
export class Scroller {
  readonly #element: HTMLElement;
  readonly #content: HTMLElement;
  #isAtEnd = true;

  /** @param content whose children are the lines that hold a place */
  constructor(element: HTMLElement, content: HTMLElement, onScroll: () => void) {
    this.#element = element;
    this.#content = content;
    element.addEventListener('scroll', () => {
      this.#isAtEnd = this.#distanceFromEnd < END_PX;
      onScroll();
    });
    // The window, the composer or a keyboard may take room away.
    new ResizeObserver(() => this.#isAtEnd && this.toEnd()).observe(element);
  }

  get isAtEnd(): boolean {
    // A reader who has just scrolled is not told of as long as no frame was drawn.
    return this.#isAtEnd && this.#distanceFromEnd < END_PX;
  }

  /** Pixels that can be scrolled back. */
  get above(): number {
    return this.#element.scrollTop;
  }

  /** Whether the reader is more than a screen away from the end. */
  get isFar(): boolean {
    return this.#distanceFromEnd > this.#element.clientHeight;
  }

  toEnd(): void {
    this.#isAtEnd = true;
    this.#element.scrollTop = this.#element.scrollHeight;
  }

  /** Begins with this line, unless it can be seen from the end. */
  toEndOr(line: HTMLElement | null): void {
    this.toEnd();
    const hidden = line === null ? 0 : this.#element.getBoundingClientRect().top - line.getBoundingClientRect().top;
    if (hidden <= 0) return;
    this.#element.scrollTop -= hidden + 12;
    this.#isAtEnd = this.#distanceFromEnd < END_PX;
  }

  /** Changes what is there, and keeps the place. */
  keep(change: () => void): void {
    if (this.#isAtEnd) {
      change();
      this.toEnd();
      return;
    }
    const top = this.#element.getBoundingClientRect().top;
    const lines = [...this.#content.children].filter((line) => !line.classList.contains('day'));
    const before = lines.map((line) => line.getBoundingClientRect());
    const first = before.findIndex(({ bottom }) => bottom > top);
    change();
    // The first line in sight that is still there.
    for (let i = Math.max(first, 0); i < lines.length; i += 1) {
      const [line, place] = [lines[i], before[i]];
      if (line === undefined || place === undefined || !line.isConnected) continue;
      this.#element.scrollTop += line.getBoundingClientRect().top - place.top;
      return;
    }
  }

  get #distanceFromEnd(): number {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight;
  }
}
