/**
 * Rooms on bare `ws`, as one would write them first: each message is sent to each member. A session's first
 * message names its room; each further one is delivered to all members, the sender too. `+` answers each.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const TEXT = { binary: false } as const;

const rooms = new Map<string, Set<WebSocket>>();
const server = createServer();
const webSockets = new WebSocketServer({ server, perMessageDeflate: false });

webSockets.on('connection', (socket) => {
  let members: Set<WebSocket> | undefined;
  socket.on('message', (bytes) => {
    if (members === undefined) {
      members = membersOf(bytes.toString());
      members.add(socket);
    } else {
      // As they came: a string would be encoded anew for each member.
      for (const member of members) member.send(bytes, TEXT);
    }
    socket.send('+');
  });
  socket.on('close', () => members?.delete(socket));
});

function membersOf(room: string): Set<WebSocket> {
  const known = rooms.get(room);
  if (known !== undefined) return known;
  const members = new Set<WebSocket>();
  rooms.set(room, members);
  return members;
}

server.listen(0, '127.0.0.1', 4096, () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ msg: 'ready', pid: process.pid, http: port }));
});
