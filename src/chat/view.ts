import type { Message } from '../client/client.ts';
import type { Gap } from '../protocol/position.ts';

/** Where a chat is shown. Whoever shows it makes what others wrote harmless. */
export interface View {
  message(message: Message): void;
  /** Messages of the room may be missing here. */
  gap(room: string, gap: Gap): void;
  /** A line beside the messages: `# …` of ours, `* …` of who is here. */
  note(line: string): void;
  /** What failed, and why. */
  error(words: string): void;
}
