import type { View } from '../../src/observability/figures.ts';

/** How the page stands to the replica that tells it figures. */
export type Standing =
  | { readonly is: 'live' }
  | { readonly is: 'connecting' | 'lost'; readonly why?: string }
  | { readonly is: 'key-needed'; readonly isRefused: boolean };

export interface ViewsListener {
  onView(view: View): void;
  onStanding(standing: Standing): void;
}

const PATH = '/dashboard/figures';
/** Milliseconds without a line, of which there is one a second, after which the connection counts as dead. */
const SILENCE_MS = 4_000;
/** Milliseconds until the first and the last tries to come back; spread at random below that. */
const BACK_OFF_MS = { first: 500, most: 5_000 };

/** The stream of views, which comes back by itself. With a key it is asked for by `fetch`, as an `EventSource` can show none. */
export class Views {
  readonly #listener: ViewsListener;
  #key: string | null;
  #tries = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: ViewsListener, key: string | null) {
    this.#listener = listener;
    this.#key = key;
  }

  /** Begins, or tries at once with another key. */
  open(key = this.#key): void {
    this.#key = key;
    clearTimeout(this.#retry);
    this.#listener.onStanding({ is: 'connecting' });
    void this.#follow();
  }

  async #follow(): Promise<void> {
    const abort = new AbortController();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    heard();
    let why: string | undefined;
    try {
      const response = await fetch(PATH, { headers: headersOf(this.#key), signal: abort.signal, cache: 'no-store' });
      if (response.status === 401) {
        this.#listener.onStanding({ is: 'key-needed', isRefused: this.#key !== null });
        return;
      }
      if (!response.ok || response.body === null) throw new Error(await complaintOf(response));
      let rest = '';
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        heard();
        const lines = (rest + decoder.decode(read.value, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.#onLine(line);
      }
    } catch (error) {
      if (!abort.signal.aborted && !(error instanceof TypeError)) why = (error as Error).message;
    } finally {
      clearTimeout(silence);
    }
    this.#comeBack(why);
  }

  #onLine(line: string): void {
    this.#tries = 0;
    const view = JSON.parse(line) as View;
    this.#listener.onStanding({ is: 'live' });
    this.#listener.onView(view);
  }

  #comeBack(why: string | undefined): void {
    this.#listener.onStanding({ is: 'lost', ...(why !== undefined && { why }) });
    const most = Math.min(BACK_OFF_MS.first * 2 ** this.#tries, BACK_OFF_MS.most);
    this.#tries += 1;
    this.#retry = setTimeout(() => void this.#follow(), most * (0.5 + Math.random() / 2));
  }
}

/** A header is of bytes: those of the key's UTF-8, as the server reads them. */
function headersOf(key: string | null): Record<string, string> {
  if (key === null) return {};
  return { Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}` };
}

async function complaintOf(response: Response): Promise<string> {
  const answer = (await response.json().catch(() => ({}))) as { readonly error?: { readonly message?: string } };
  return answer.error?.message ?? `was answered ${response.status}`;
}
