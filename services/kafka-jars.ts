import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const POM = fileURLToPath(new URL('pom.xml', import.meta.url));
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies';
const FETCH_MS_MAX = 300_000;

/** Where the jars of the broker that `pom.xml` names are, or would be. */
export function kafkaJars(cache: string): string {
  const name = createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 12);
  return join(cache, `kafka-${name}`);
}

export function hasKafkaJars(cache: string): boolean {
  return existsSync(kafkaJars(cache));
}

/**
 * Has Maven fetch the jars unless they are there. Whoever comes first is as good as another one: they are put in
 * place whole.
 *
 * @returns their directory
 * @throws Error with Maven's words
 */
export async function fetchKafkaJars(cache: string): Promise<string> {
  const jars = kafkaJars(cache);
  if (existsSync(jars)) return jars;
  mkdirSync(cache, { recursive: true });
  const partial = mkdtempSync(join(cache, 'fetching-'));
  try {
    const options = ['-DincludeScope=runtime', `-DoutputDirectory=${partial}`];
    await promisify(execFile)('mvn', ['-q', '-B', '-C', '-f', POM, COPY, ...options], { timeout: FETCH_MS_MAX });
    if (!existsSync(jars)) renameSync(partial, jars);
    return jars;
  } catch (error) {
    if (existsSync(jars)) return jars;
    const { stdout = '', message } = error as Error & { stdout?: string };
    throw new Error(`Kafka's jars could not be fetched: ${message}\n${stdout}`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
