/**
 * Which pages may talk to the gateway. `Host` is held against a list, or a foreign page could have its own name
 * point at a laptop's loopback address (DNS rebinding) and be same-origin with us.
 */
export class HostRules {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  /** @param hosts names without port, as in URLs; @param origins as browsers send them. */
  constructor(hosts: readonly string[], origins: readonly string[]) {
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(origins.map((origin) => origin.toLowerCase()));
  }

  /** Of the port for operators, which is bound to that address: names that mean this machine. */
  static ofInternalPort(host: string): HostRules {
    return new HostRules(['localhost', '127.0.0.1', '[::1]', host], []);
  }

  allowsHost(host: string | undefined): boolean {
    return host !== undefined && this.#hosts.has(host.replace(/:\d*$/, '').toLowerCase());
  }

  /** Absent (no browser), the page's own host, or listed. */
  allowsOrigin(origin: string | undefined, host: string | undefined): boolean {
    if (origin === undefined) return true;
    if (this.#origins.has(origin.toLowerCase())) return true;
    return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
  }
}
