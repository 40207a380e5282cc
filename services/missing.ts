import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { hasKafkaJars } from './kafka-jars.ts';

const JAVA_MIN = 17;
const TRY_MS_MAX = 30_000;

/** What Redis needs and is not there, in words, with how to get it; empty if all is. */
export async function missingForRedis(): Promise<string[]> {
  return (await output('redis-server', '--version')) === undefined
    ? ['redis-server (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)']
    : [];
}

/** What Kafka needs and is not there. */
export async function missingForKafka(cache: string): Promise<string[]> {
  const missing: string[] = [];
  const version = await output('java', '-version');
  const major = Number(/version "(\d+)/.exec(version ?? '')?.[1]);
  if (version === undefined || major < JAVA_MIN) {
    const found = version === undefined ? '' : `, not ${major}`;
    missing.push(
      `java ${JAVA_MIN} or newer${found} (Debian, Ubuntu: apt-get install default-jre-headless; macOS: brew install openjdk)`,
    );
  }
  if (!hasKafkaJars(cache) && (await output('mvn', '--version')) === undefined) {
    missing.push('mvn, to fetch Kafka once (Debian, Ubuntu: apt-get install maven; macOS: brew install maven)');
  }
  return missing;
}

/** What a program prints, or undefined where it can't be run. */
export async function output(program: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { timeout: TRY_MS_MAX });
    return stdout + stderr;
  } catch {
    return undefined;
  }
}
