// The chat page: asks who enters, and sets up the parts of the page around one client of the gateway.

import { Client, tabDevice } from '../src/client/client.ts';
import { DISCONNECTS } from '../src/protocol/disconnects.ts';
import { Banner } from './banner.ts';
import { Composer } from './composer.ts';
import { ConversationHeader } from './conversation-header.ts';
import { ConversationList } from './conversation-list.ts';
import { Conversations } from './conversations.ts';
import { byId } from './dom.ts';
import { Drawers } from './drawers.ts';
import { Entrance } from './entrance.ts';
import { backToEntrance, type Identity, identityOfAddress } from './identity.ts';
import { MessageLog } from './message-log.ts';
import { setUpClosing, setUpNameDialogs } from './name-dialogs.ts';
import { PeoplePanel } from './people-panel.ts';
import { keepInAddress } from './place-in-address.ts';
import { ShareLink } from './share-link.ts';
import { StatusMenu } from './status-menu.ts';
import { Store, saveLastUsed } from './store.ts';

function enter(identity: Identity): void {
  const { user, token, room, partner } = identity;
  const url = new URL('ws', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  url.hash = '';
  const client = new Client({
    ...{ url, user, device: tabDevice(), client: 'tidegate-page/2' },
    ...(token !== null && { token }),
  });
  const conversations = new Conversations(client, new Store(user), user);

  new MessageLog(conversations);
  new ConversationHeader(conversations);
  new ShareLink(conversations);
  const composer = new Composer(client, conversations);
  const drawers = new Drawers();
  // The focus can go nowhere as long as a drawer is open.
  const chosen = () => {
    drawers.close();
    composer.focus();
  };
  const status = new StatusMenu(client, user);
  new ConversationList(conversations, chosen);
  new PeoplePanel(conversations, user, () => status.open(), chosen);
  setUpNameDialogs(conversations, chosen);
  setUpClosing();
  keepInAddress(conversations, identity);
  new Banner(client, user);

  client.on('state', (state) => {
    if (state.name !== 'closed' || state.code !== DISCONNECTS.invalid_token.code) return;
    backToEntrance(room, token === null ? 'This gateway asks for a token.' : 'The token was refused.');
  });
  byId('sign-out', HTMLButtonElement).addEventListener('click', () => {
    void client.close().then(() => backToEntrance(room, null));
  });
  addEventListener('beforeunload', (event) => {
    // What was not acknowledged would be lost with the page.
    if (conversations.all.some(({ outgoing }) => outgoing.isWaiting)) event.preventDefault();
  });

  byId('chat', HTMLElement).hidden = false;
  if (partner !== null) conversations.openDirect(partner);
  else if (room !== null) conversations.openRoom(room);
  if (room !== null) saveLastUsed(user, room);
  composer.focus();
  client.connect().catch(() => {
    // Its state tells why.
  });
}

const identity = identityOfAddress();
if (identity === null) new Entrance(enter);
else enter(identity);

// Only in secure contexts; the page does without.
navigator.serviceWorker?.register('sw.js').catch(() => {});
