import { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

export type TerminalInput = Readable & { setRawMode(isRaw: boolean): unknown };

/** What comes from a terminal, a character at a time: where several come at once, as pasted, readline loses its rows. */
export function keyByKey(input: TerminalInput): TerminalInput {
  const keys = Readable.from(charactersOf(input));
  return Object.assign(keys, { setRawMode: (isRaw: boolean) => input.setRawMode(isRaw) });
}

async function* charactersOf(input: Readable): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const chunk of input as AsyncIterable<Buffer>) yield* decoder.write(chunk);
}
