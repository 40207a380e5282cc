import type { Command } from './commands.ts';
import type { DisconnectReason } from './disconnects.ts';
import type { CommandError } from './errors.ts';
import type { Gap, Position } from './position.ts';
import type { LeftCode, RoomPresencePush, UserPresencePush } from './presence-push.ts';
import type { Publication } from './publication.ts';
import type { RepliedOp, Replies } from './replies.ts';

/** Names a way in which publications become bytes. Sessions with the same one share each batch's buffer. */
export type FramingName = 'ndjson' | 'websocket' | 'text';

/** How payloads (JSON objects or lines of text, without a line break) become the bytes of one transport. */
export interface Framing {
  readonly name: FramingName;
  /** A publication as a push's payload. */
  message(publication: Publication): Buffer;
  /** A room's or user's presence as pushes' payloads; none where there is nothing that the reader would be told. */
  roomPresence(push: RoomPresencePush): readonly Buffer[];
  userPresence(push: UserPresencePush): readonly Buffer[];
  /** A signal as a push's payload; null where readers aren't told of signals. `data` is JSON text. */
  signal(room: string, from: string, data: string): Buffer | null;
  /** Payloads as one buffer to write; at most `serverFrameBytesMax` together. */
  frame(payloads: readonly Buffer[]): Buffer;
}

/** What a line came to: a command, an error to answer with, or words that need no command. */
export type Input =
  | { readonly command: Command }
  | { readonly refusal: { readonly id: number | null; readonly error: CommandError } }
  | { readonly words: readonly Buffer[] };

/** The language spoken on one connection: reads lines, and says replies and pushes. */
export interface Dialect {
  readonly framing: Framing;
  /** Whether clients of this language answer heartbeats. */
  readonly hasHeartbeats: boolean;
  /** The inputs of one line, in order; none for an empty one. */
  read(line: Buffer): readonly Input[];
  /** Payloads that say a reply; none where the person or client needs no word. */
  reply<Op extends RepliedOp>(op: Op, id: number, ok: Replies[Op]): readonly Buffer[];
  error(id: number | null, error: CommandError): readonly Buffer[];
  resync(room: string, position: Position, gap: Gap | undefined): readonly Buffer[];
  left(room: string, code: LeftCode): readonly Buffer[];
  heartbeat(): readonly Buffer[];
  /** `words`, printable ASCII, are said in place of the reason's name. */
  disconnect(reason: DisconnectReason, afterMs: number | null, words?: string): readonly Buffer[];
}
