/**
 * Rooms on Socket.IO, by its own means: `join` joins a room, and `message` is emitted to the sender's room, the
 * sender included, and acknowledged. WebSocket alone, without compression, and without the upgrade's request, which
 * Socket.IO's documentation advises to let go of for memory's sake; all else as Socket.IO sets it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';

const server = createServer();
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });

io.engine.on('connection', (connection: { request: unknown }) => {
  connection.request = null;
});

io.on('connection', (socket) => {
  let joined = '';
  socket.on('join', async (room: string, acknowledge: () => void) => {
    joined = room;
    await socket.join(room);
    acknowledge();
  });
  socket.on('message', (data: unknown, acknowledge: () => void) => {
    io.to(joined).emit('message', data);
    acknowledge();
  });
});

server.listen(0, '127.0.0.1', 4096, () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ msg: 'ready', pid: process.pid, http: port }));
});
