const PREFIX = 'tidegate.ticket.';

/** The tickets that were given to clients: each is offered at most once, and only the newest. */
export class TicketOffice {
  readonly #breach: (client: string, what: string) => void;
  readonly #given = new Map<string, string>();
  /** By client, those that were shown. */
  readonly shown = new Map<string, string[]>();

  constructor(breach: (client: string, what: string) => void) {
    this.#breach = breach;
  }

  gave(client: string, ticket: string): void {
    this.#given.set(client, ticket);
  }

  /** Looks at a handshake's subprotocols. */
  look(client: string, subprotocols: string): void {
    const names = subprotocols.split(',').map((name) => name.trim());
    if (names[0] !== 'tidegate.v1') this.#breach(client, `asks for ${subprotocols}`);
    for (const name of names.slice(1)) {
      const ticket = name.slice(PREFIX.length);
      const isOurs = name.startsWith(PREFIX) && this.#given.get(client) === ticket;
      if (!isOurs) this.#breach(client, `offers ${name}, which is not its newest unused ticket`);
      this.#given.delete(client);
      this.shown.set(client, [...(this.shown.get(client) ?? []), ticket]);
    }
  }
}
