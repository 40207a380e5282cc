import type { Writable } from 'node:stream';

/** Below so many bytes copying the chunks together is cheaper than handing each to the system by itself. */
const COPIED_BYTES_MAX = 8_192;

/** Writes buffers in order with one system call, as far as the socket takes them at once. */
export function writeGathered(socket: Writable, chunks: readonly Buffer[]): void {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) {
    socket.write(first);
    return;
  }
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  if (bytes <= COPIED_BYTES_MAX) {
    socket.write(Buffer.concat(chunks, bytes));
    return;
  }
  socket.cork();
  for (const chunk of chunks) socket.write(chunk);
  socket.uncork();
}
