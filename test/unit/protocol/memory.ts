import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** How many of so many pieces of one byte are still held by whoever they were fed to, after a garbage collection. */
export async function heldPieces(count: number, feed: (piece: Buffer) => void): Promise<number> {
  const pieces: WeakRef<ArrayBuffer>[] = [];
  for (let i = 0; i < count; i += 1) {
    // Its memory is watched, and not the view of it, which is soon replaced by another one.
    const memory = new ArrayBuffer(1);
    pieces.push(new WeakRef(memory));
    feed(Buffer.from(memory).fill('a'));
  }
  // What a WeakRef was made of lives until the end of the turn.
  await setImmediate();
  collectGarbage();
  return pieces.filter((piece) => piece.deref() !== undefined).length;
}
