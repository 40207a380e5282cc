/** What one session may do, as `connect`'s reply tells it. Bytes are UTF-8 bytes. */
export interface Limits {
  readonly frameBytesMax: number;
  readonly serverFrameBytesMax: number;
  readonly dataBytesMax: number;
  readonly signalBytesMax: number;
  readonly roomsMax: number;
  readonly watchesMax: number;
  readonly historyMax: number;
  readonly publishesUnansweredMax: number;
  readonly commands: Rate | null;
  readonly publishes: Rate | null;
  readonly signals: Rate | null;
  readonly bytes: Rate | null;
}

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}
