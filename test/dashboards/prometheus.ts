import { execFile } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Daemon, startDaemon, stopDaemon, untilReady } from '../../services/daemon.ts';
import { freePorts, HOST } from '../../services/ports.ts';

/** Where the configuration is that is committed. */
export const FOLDER = fileURLToPath(new URL('../../dashboards/prometheus/', import.meta.url));

const READY_MS_MAX = 20_000;
/** It takes some seconds until it looks at what it is to read. */
const SCRAPED_MS_MAX = 30_000;
const STOP_MS_MAX = 5_000;
const POLL_MS = 100;
/** Longer than any load. */
const EXEMPLARS_SECONDS = 300;

/** One line of an answer, with its values over time; NaN where there is none. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

/** What is scraped as one cluster: `host:port` each. */
export type Targets = Readonly<Record<string, readonly string[]>>;

/** A Prometheus of its own, with the committed configuration but for what it scrapes, and how often. */
export class Prometheus {
  readonly #url: string;
  readonly #daemon: Daemon;

  private constructor(url: string, daemon: Daemon) {
    this.#url = url;
    this.#daemon = daemon;
  }

  /**
   * @param directory for its configuration and data
   * @throws Error with the end of its log
   */
  static async start(directory: string, targets: Targets): Promise<Prometheus> {
    cpSync(FOLDER, directory, { recursive: true });
    const config = join(directory, 'prometheus.yml');
    writeFileSync(config, configFor(readFileSync(config, 'utf8'), targets));
    const [port = 0] = await freePorts(1);
    const url = `http://${HOST}:${port}`;
    const logFile = join(directory, 'prometheus.log');
    const daemon = await startDaemon(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=${HOST}:${port}`,
        '--enable-feature=exemplar-storage',
      ],
      logFile,
    );
    const isReady = async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok ?? false;
    await untilReady('prometheus', daemon, logFile, READY_MS_MAX, isReady);
    return new Prometheus(url, daemon);
  }

  /** @throws Error with Prometheus' words on an expression that it does not take */
  async range(expr: string, fromSeconds: number, toSeconds: number): Promise<Series[]> {
    const parameters = { query: expr, start: String(fromSeconds), end: String(toSeconds), step: '1' };
    const response = await fetch(`${this.#url}/api/v1/query_range`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    });
    const { data, error } = (await response.json()) as {
      readonly error?: string;
      readonly data?: { readonly result: { metric: Record<string, string>; values: [number, string][] }[] };
    };
    if (data === undefined) throw new Error(`${expr}: ${error}`);
    return data.result.map(({ metric, values }) => {
      return { labels: metric, values: values.map(([, value]) => Number(value)) };
    });
  }

  /** Whether buckets of a histogram lead to traces. */
  async hasExemplars(histogram: string): Promise<boolean> {
    const end = Math.ceil(Date.now() / 1_000);
    const parameters = { query: `${histogram}_bucket`, start: String(end - EXEMPLARS_SECONDS), end: String(end) };
    const response = await fetch(`${this.#url}/api/v1/query_exemplars?${new URLSearchParams(parameters)}`);
    const { data } = (await response.json()) as { data: { exemplars: { labels: Record<string, string> }[] }[] };
    return data.some(({ exemplars }) => exemplars.some(({ labels }) => /^[0-9a-f]{32}$/.test(labels.trace_id ?? '')));
  }

  /** Resolves when each of so many targets has been read twice: what grows from then on is seen to. */
  async untilScraped(targets: number): Promise<void> {
    const deadlineMs = performance.now() + SCRAPED_MS_MAX;
    for (;;) {
      const seconds = Date.now() / 1_000;
      const scraped = await this.range('count_over_time(up[1m]) >= 2', seconds, seconds);
      if (scraped.length >= targets) return;
      if (performance.now() > deadlineMs) throw new Error(`only ${scraped.length} targets were read twice in time`);
      await delay(POLL_MS);
    }
  }

  stop(): Promise<void> {
    return stopDaemon(this.#daemon, STOP_MS_MAX);
  }
}

/** @returns what promtool says, and whether it finds nothing wrong */
export async function promtool(args: readonly string[], input = ''): Promise<{ said: string; isGood: boolean }> {
  const running = promisify(execFile)('promtool', args);
  running.child.stdin?.end(input);
  const { stdout, stderr, code } = await running.then(
    (output) => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number | string }) => error,
  );
  if (typeof code !== 'number') throw new Error(`promtool can't be run: ${code}`);
  return { said: `${stdout}${stderr}`.trim(), isGood: code === 0 };
}

/** The committed text with other targets and shorter times. @throws Error if there is nothing in it to replace */
function configFor(text: string, targets: Targets): string {
  const indent = '      ';
  const blocks = Object.entries(targets).map(([cluster, hosts]) => {
    const list = hosts.map((host) => `"${host}"`).join(', ');
    return `${indent}- targets: [${list}]\n${indent}  labels: { cluster: ${cluster} }\n`;
  });
  const replacements = [
    [/^ {6}- targets:.*\n {8}labels:\n {10}cluster: .*\n/m, blocks.join('')],
    [/^ {2}scrape_interval: .*$/m, '  scrape_interval: 1s'],
    [/^ {2}evaluation_interval: .*$/m, '  evaluation_interval: 1s'],
  ] as const;
  return replacements.reduce((changed, [pattern, by]) => {
    if (!pattern.test(changed)) throw new Error(`prometheus.yml has nothing like ${pattern}`);
    return changed.replace(pattern, by);
  }, text);
}
