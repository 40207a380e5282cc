export type ClientState =
  | { readonly name: 'connecting' }
  /** There is a session, and every room that was joined before is where it would be without the loss. */
  | { readonly name: 'online' }
  /** There is a session, and a room that was joined before is being caught up with. */
  | { readonly name: 'resyncing' }
  /** The next try is at `retryAtMs`, milliseconds since 1970, or when the browser says that it is online. */
  | { readonly name: 'waiting'; readonly reason: string; readonly retryAtMs: number }
  /** Not begun, closed, or sent away by the server: for the reason of a disconnect `code`, or null of an error. */
  | { readonly name: 'closed'; readonly reason: string; readonly code: number | null };
