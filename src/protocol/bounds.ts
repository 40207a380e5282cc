/**
 * Bounds of the protocol: what one client may send or hold. Those that `connect`'s reply tells a client are in
 * `limits`; the docs and the tests read the rest from here too. Bytes are UTF-8 bytes.
 */
export const BOUNDS = {
  /** A line or message from a client, without its line break. */
  frameBytesMax: 65_536,
  /** A line or message from the server. */
  serverFrameBytesMax: 1_048_576,
  /** `data` of a publish, as sent. */
  dataBytesMax: 16_384,
  /** `data` of a signal, as sent. */
  signalBytesMax: 1_024,
  /** Bytes waiting to be sent to a session above which it is given no signals. */
  signalWaitingBytesMax: 65_536,
  /** Rooms joined by one session. */
  roomsMax: 256,
  /** Users watched by one session. */
  watchesMax: 200,
  /** Users of one page of a room's presence, and names of one presence push. */
  presencePageMax: 500,
  /** Messages of one page of history. */
  historyMax: 300,
  /** Publishes of one session without a reply; then its socket is not read. */
  publishesUnansweredMax: 32,
  /** Reads of history that one session may have under way; then its next one waits. */
  readsUnansweredMax: 2,
  /** Bytes of messages in one page of history. */
  pageBytesMax: 262_144,
  /** Bytes waiting to be sent to a session above which its next command waits. */
  repliesBytesMax: 262_144,
  /** Levels of nesting of a line, the command's own object being the first. */
  depthMax: 32,
  /** Replies with `id: null` in a row after which a session ends. */
  unreadableLinesMax: 10,
  userBytesMax: 120,
  roomBytesMax: 128,
  deviceBytesMax: 64,
  midBytesMax: 64,
  epochBytesMax: 64,
  clientBytesMax: 128,
  tokenBytesMax: 8_192,
  /** `reason` of a disconnect by the server API: a WebSocket's close frame has 125 bytes, two for the code. */
  disconnectReasonBytesMax: 123,
  /** A request's body to the server API. */
  bodyBytesMax: 65_536,
  /** `text` of a status. */
  statusTextBytesMax: 140,
} as const;
