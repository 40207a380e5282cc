import { isUser } from '../src/protocol/names.ts';
import type { Conversations } from './conversations.ts';
import { byId, setText } from './dom.ts';
import { isChosenRoom } from './identity.ts';
import { REMEMBERED_MAX } from './store.ts';

/** Sets up the dialogs that ask for a name: of a room to join, and of somebody to write to. */
export function setUpNameDialogs(conversations: Conversations, onChosen: () => void): void {
  new NameDialog('join', (name) => {
    if (!isChosenRoom(name)) return 'Letters, digits and _ . : @ / - make a name; not with @ in front.';
    const isKnown = conversations.rooms.some((room) => room.name === name);
    if (!isKnown && conversations.isFull) return `You are in ${REMEMBERED_MAX} rooms. Leave one first.`;
    conversations.openRoom(name);
    onChosen();
    return null;
  });
  new NameDialog('write', (name) => {
    if (!isUser(name)) return 'Letters, digits and _ . : @ / - make a name.';
    conversations.openDirect(name);
    onChosen();
    return null;
  });
}

/** A dialog with one field. Its parts are `<id>-open`, `<id>-dialog`, `<id>-form`, `<id>-name` and `<id>-complaint`. */
class NameDialog {
  /** @param choose takes the name; returns what is wrong with it, or null */
  constructor(id: string, choose: (name: string) => string | null) {
    const dialog = byId(`${id}-dialog`, HTMLDialogElement);
    const name = byId(`${id}-name`, HTMLInputElement);
    const complaint = byId(`${id}-complaint`, HTMLElement);
    byId(`${id}-open`, HTMLButtonElement).addEventListener('click', () => {
      name.value = '';
      setText(complaint, '');
      dialog.showModal();
    });
    byId(`${id}-form`, HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      // It gives the focus back as it closes, and what is opened takes it after.
      dialog.close();
      const wrong = choose(name.value.trim());
      setText(complaint, wrong ?? '');
      if (wrong !== null) dialog.showModal();
    });
  }
}

/** Escape closes dialogs by itself; so do a click beside them and their buttons. */
export function setUpClosing(): void {
  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.addEventListener('click', ({ target }) => {
      const isCloser = target instanceof Element && target.closest('.close-dialog') !== null;
      if (target === dialog || isCloser) dialog.close();
    });
  }
}
