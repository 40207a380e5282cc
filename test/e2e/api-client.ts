import { type IncomingHttpHeaders, request } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** As it came, without the line feed at its end. */
  readonly text: string;
  /** The text as JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A backend that calls the internal port's HTTP API, over plain sockets: nothing is added that a test didn't say. */
export class ApiClient {
  readonly #port: number;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(port: number, headers: Readonly<Record<string, string>> = {}) {
    this.#port = port;
    this.#headers = headers;
  }

  /** The same port with other headers. */
  with(headers: Readonly<Record<string, string>>): ApiClient {
    return new ApiClient(this.#port, headers);
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path);
  }

  /** `body`: bytes or text as they are, or an object that is sent as JSON. */
  post(path: string, body?: string | Buffer | object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const isRaw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
    return this.send('POST', path, isRaw ? body : JSON.stringify(body), headers);
  }

  send(
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const options = { port: this.#port, host: '127.0.0.1', method, path, headers: { ...this.#headers, ...headers } };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString().replace(/\n$/, '');
          const isJson = response.headers['content-type'] === 'application/json' && text !== '';
          const json = isJson ? (JSON.parse(text) as Answer['json']) : {};
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** Status, code and first words of the message of a call that fails. */
  async failure(sent: Promise<Answer>): Promise<string> {
    const { status, json } = await sent;
    const { error } = json as { error?: { code: string; message: string } };
    if (error === undefined) throw new Error(`was answered ${status} ${JSON.stringify(json)}`);
    return `${status} ${error.code} ${error.message}`;
  }
}
