/** The element of the page with that id. @throws if it is not there or is of another kind */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`#${id} is no ${type.name}`);
  return element;
}

/** What others wrote goes in as text only: there is no way here that makes markup of a string. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...children);
  return element;
}

export function button(className: string, onClick: () => void, ...children: (Node | string)[]): HTMLButtonElement {
  const element = make('button', className, ...children);
  element.type = 'button';
  element.addEventListener('click', onClick);
  return element;
}

export const SVG = 'http://www.w3.org/2000/svg';

/** One of the drawings at the top of index.html. */
export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Text for those who hear the page. */
export function spoken(text: string): HTMLElement {
  return make('span', 'spoken', text);
}

/** Makes the list's children those of `wanted`, and moves none that stands right: focus and scrolling stay. */
export function arrange(list: HTMLElement, wanted: readonly Node[]): void {
  const kept = new Set(wanted);
  for (const child of [...list.childNodes]) if (!kept.has(child)) child.remove();
  let next = list.firstChild;
  for (const node of wanted) {
    if (node === next) next = next.nextSibling;
    else list.insertBefore(node, next);
  }
}

/** Sets the text where it differs, so that nothing is read out again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
