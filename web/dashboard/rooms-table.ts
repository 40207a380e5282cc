import { arrange, make, setText } from '../dom.ts';
import type { RoomOrder, Rooms } from './rooms.ts';
import { count, perSecond } from './units.ts';

/** The busiest rooms, by whichever of the two that is asked for. */
export class RoomsTable {
  readonly #body: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #buttons: Readonly<Record<RoomOrder, HTMLButtonElement>>;
  readonly #rows = new Map<string, HTMLElement>();
  #rooms: Rooms | null = null;
  #order: RoomOrder = 'members';

  constructor(body: HTMLElement, empty: HTMLElement, buttons: Readonly<Record<RoomOrder, HTMLButtonElement>>) {
    this.#body = body;
    this.#empty = empty;
    this.#buttons = buttons;
    for (const order of ['members', 'perSecond'] as const) {
      buttons[order].addEventListener('click', () => {
        this.#order = order;
        this.#draw();
      });
    }
  }

  /** @param areShown false: who looks may not know their names */
  show(rooms: Rooms, areShown: boolean): void {
    this.#rooms = rooms;
    const words = areShown ? 'No room has a member.' : 'Names of rooms are shown where TIDEGATE_API_KEYS is set.';
    setText(this.#empty, words);
    this.#draw();
  }

  #draw(): void {
    for (const order of ['members', 'perSecond'] as const) {
      this.#buttons[order].setAttribute('aria-pressed', String(order === this.#order));
    }
    const top = this.#rooms?.top(this.#order) ?? [];
    this.#empty.hidden = top.length > 0;
    const most = Math.max(1e-9, ...top.map((room) => room[this.#order]));
    const rows = top.map(({ room, members, perSecond: pace }) => {
      const row = this.#rows.get(room) ?? this.#make(room);
      const [, ofMembers, ofPace] = row.children;
      if (ofMembers !== undefined) setText(ofMembers, count(members));
      if (ofPace !== undefined) setText(ofPace, perSecond(pace));
      row.style.setProperty('--share', `${(100 * (this.#order === 'members' ? members : pace)) / most}%`);
      return row;
    });
    for (const [room, row] of this.#rows) if (!rows.includes(row)) this.#rows.delete(room);
    arrange(this.#body, rows);
  }

  #make(room: string): HTMLElement {
    const name = make('th', 'room-name', make('span', '', room));
    name.scope = 'row';
    const row = make('tr', '', name, make('td'), make('td'));
    this.#rows.set(room, row);
    return row;
  }
}
