import { isUser } from '../src/protocol/names.ts';
import { byId, setText } from './dom.ts';
import { type Identity, isChosenRoom, keepToken, subjectOf, suggestion } from './identity.ts';

/** Asks who wants to enter, and where to. */
export class Entrance {
  readonly #onEnter: (identity: Identity) => void;
  readonly #section = byId('entrance', HTMLElement);
  readonly #user = byId('enter-user', HTMLInputElement);
  readonly #userField = byId('enter-user-field', HTMLElement);
  readonly #room = byId('enter-room', HTMLInputElement);
  readonly #token = byId('enter-token', HTMLTextAreaElement);
  readonly #tokenField = byId('enter-token-field', HTMLElement);
  readonly #tokenToggle = byId('enter-token-toggle', HTMLButtonElement);
  readonly #complaint = byId('enter-complaint', HTMLElement);
  #isWithToken = false;

  constructor(onEnter: (identity: Identity) => void) {
    this.#onEnter = onEnter;
    const { user, room, token, refusal } = suggestion();
    this.#user.value = user;
    this.#room.value = room;
    this.#token.value = token;
    this.#useToken(token !== '' || refusal !== '');
    setText(this.#complaint, refusal);
    this.#tokenToggle.addEventListener('click', () => {
      this.#useToken(!this.#isWithToken);
      (this.#isWithToken ? this.#token : this.#user).focus();
    });
    byId('enter', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#section.hidden = false;
    const isNamed = this.#isWithToken || isUser(user);
    (refusal !== '' ? this.#token : isNamed ? this.#room : this.#user).focus();
  }

  #useToken(isUsed: boolean): void {
    this.#isWithToken = isUsed;
    this.#tokenField.hidden = !isUsed;
    this.#token.required = isUsed;
    this.#userField.hidden = isUsed;
    this.#user.required = !isUsed;
    this.#user.disabled = isUsed;
    setText(this.#tokenToggle, isUsed ? 'Enter with a name instead' : 'I have a token');
  }

  #submit(): void {
    const token = this.#isWithToken ? this.#token.value.trim() : null;
    const user = token === null ? this.#user.value : subjectOf(token);
    const room = this.#room.value;
    if (!isUser(user)) {
      if (token === null) this.#complain('That name can’t be used.', this.#user);
      else this.#complain('That is no token.', this.#token);
    } else if (!isChosenRoom(room)) {
      this.#complain('Rooms with @ in front are reserved.', this.#room);
    } else {
      keepToken(token);
      this.#section.hidden = true;
      this.#onEnter({ user, token, room, partner: null });
    }
  }

  #complain(words: string, field: HTMLElement): void {
    setText(this.#complaint, words);
    field.focus();
  }
}
