/**
 * Rooms on bare uWebSockets.js, by its own means: a room is a topic. A session's first message names its room; each
 * further one is published to it, the sender included. `+` answers each. Nothing is compressed, skipped or timed out.
 */
import { App, us_socket_local_port, type WebSocket } from 'uWebSockets.js';

/** By default what exceeds 64 KiB for a session is skipped without a word. */
const BACKPRESSURE_BYTES_MAX = 1024 * 1024 * 1024;
const IDLE_SECONDS = 960;

interface Member {
  room: string;
}

const app = App();
app.ws<Member>('/*', {
  maxBackpressure: BACKPRESSURE_BYTES_MAX,
  idleTimeout: IDLE_SECONDS,
  sendPingsAutomatically: false,
  upgrade: (response, request, context) => {
    response.upgrade(
      { room: '' },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  },
  message: (socket: WebSocket<Member>, message) => {
    const member = socket.getUserData();
    if (member.room === '') {
      member.room = Buffer.from(message).toString('latin1');
      socket.subscribe(member.room);
    } else {
      // The app's publish reaches the sender too, a socket's does not.
      app.publish(member.room, message);
    }
    socket.send('+');
  },
});
app.listen('127.0.0.1', 0, (listening) => {
  if (!listening) throw new Error('no port');
  console.log(JSON.stringify({ msg: 'ready', pid: process.pid, http: us_socket_local_port(listening) }));
});
