import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';

/** How often the certificate's files are looked at. */
const WATCH_INTERVAL_MS = 5_000;

/** A certificate and key in PEM files, read again when they change. */
export class Certificate {
  readonly #files: { readonly cert: string; readonly key: string };
  readonly #logger: Logger;

  constructor(cert: string, key: string, logger: Logger) {
    this.#files = { cert, key };
    this.#logger = logger;
  }

  /** @throws Error if a file cannot be read. */
  read(): SecureContextOptions {
    return { cert: readFileSync(this.#files.cert), key: readFileSync(this.#files.key) };
  }

  /** Has `onChange` use the new pair for new connections; a pair that doesn't fit is logged, and the old one stays. */
  watch(onChange: (context: SecureContextOptions) => void): void {
    const reload = () => {
      try {
        onChange(this.read());
        this.#logger.info({}, 'certificate read again');
      } catch (error) {
        this.#logger.error({ err: error }, 'the changed certificate cannot be used; the one before it stays');
      }
    };
    for (const file of Object.values(this.#files)) watchFile(file, { interval: WATCH_INTERVAL_MS }, reload).unref();
  }

  unwatch(): void {
    for (const file of Object.values(this.#files)) unwatchFile(file);
  }
}
