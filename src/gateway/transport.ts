import type { OVERSIZE } from '../protocol/line-splitter.ts';

/**
 * One connection as a session sees it: lines in, shared buffers out. Whatever a transport's library does by
 * itself (pings, close handshakes, TLS) stays behind this port.
 */
export interface Transport {
  /** Where the client is, without port, as a plain address: its peer, or where a trusted proxy says that it is. */
  readonly remoteAddress: string;
  /** Bytes written that the kernel has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * The next complete line, without its line break, or null if there is none. A transport stops reading its
   * socket while lines wait here, and goes on once `read` has returned null: so a session that does not read
   * is backpressure for its client. One that cannot stop holds what comes up to a bound, and then tells
   * {@link TransportListener.onOverrun}.
   */
  read(): Buffer | typeof OVERSIZE | null;
  /**
   * Writes framed buffers in order, gathered into one system call where possible. They must not change after.
   * `onTaken` is called when the kernel has taken them all, or the connection is gone.
   */
  write(chunks: readonly Buffer[], onTaken?: () => void): void;
  /**
   * Ends the connection in good order after what was written: with `code` where the transport knows close
   * codes, destroyed after `CLOSE_TIMEOUT_MS` if the peer does not follow. What still comes in is thrown away.
   * Idempotent.
   */
  close(code: number, reason: string): void;
  /** Destroys the connection now, with a reset. Idempotent. */
  terminate(): void;
  /**
   * Finds out by itself that the peer has vanished, as far as the system tells: of a session whose client answers
   * no heartbeats. The connection is then gone, without a word.
   */
  watchPeer(): void;
}

/** What a transport tells its session. */
export interface TransportListener {
  /** Bytes came, a whole line or not. */
  onBytes(): void;
  /** More came than may wait unread, and the transport cannot stop reading: nothing more can be read of it. */
  onOverrun(): void;
  /** Lines may be there to read, or the client has ended its side; see {@link Transport.read}. */
  onReadable(): void;
  /** Bytes waited, and were taken by the kernel. Not told of where there were few: see {@link Transport.write}. */
  onDrained(): void;
  /** The client has sent its last byte, but may still read. Lines that came before can still be read. */
  onInputEnd(): void;
  /** The connection is gone; `isLeaving`: because the client said goodbye. Called once, last. */
  onClosed(isLeaving: boolean): void;
}

/** Close codes of WebSockets (RFC 6455 section 7.4.1) that are no disconnects of ours. */
export const CLOSE_CODES = { unsupportedData: 1003, messageTooBig: 1009 } as const;

/** With these a client says goodbye: a normal closure, or a close frame without a code (RFC 6455 section 7.4.1). */
const GOODBYES: readonly number[] = [1000, 1005];

/** Whether a WebSocket's client has said goodbye with this close code, and is not merely gone. */
export function isGoodbye(code: number): boolean {
  return GOODBYES.includes(code);
}

/** Milliseconds for which a closing peer is waited for. */
export const CLOSE_TIMEOUT_MS = 5_000;

/** Connections above the bound that a port holds while it tells them to come back; more are closed unheard. */
export const REFUSALS_MAX = 1_024;
