import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AclEntry, Kafka as Client } from 'kafkajs';
import { Kafka, type KafkaPorts } from '../../services/kafka.ts';
import { fetchKafkaJars } from '../../services/kafka-jars.ts';
import { makeAuthority, makeCertificate } from '../certificates.ts';

const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url));
const ADMIN = { username: 'admin', password: 'password of the admin' };
const MODULES = 'org.apache.kafka.common.security';

/** Who may come, by its password. */
export type Users = Readonly<Record<string, string>>;

/** A Kafka of a test's own that speaks TLS alone, asks who one is, and grants nothing by itself. */
export class SecuredKafka {
  readonly brokers: string;
  /** PEM files: the authority that has signed the broker's certificate, and one that has nothing to do with it. */
  readonly ca: string;
  readonly otherCa: string;
  readonly #kafka: Kafka;
  readonly #directory: string;

  private constructor(kafka: Kafka, directory: string) {
    this.brokers = kafka.brokers;
    this.ca = join(directory, 'ca.pem');
    this.otherCa = join(directory, 'other-ca.pem');
    this.#kafka = kafka;
    this.#directory = directory;
  }

  static async open(users: Users): Promise<SecuredKafka> {
    const directory = await mkdtemp(join(tmpdir(), 'tidegate-secured-'));
    await makeCertificates(directory);
    const jars = await fetchKafkaJars(CACHE);
    const ports = await Kafka.freePorts(1);
    const properties = propertiesOf(directory, ports[0] as KafkaPorts, users);
    const formatOptions = Object.entries(users).flatMap(([name, password]) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((each) => ['-S', `${each}=[name=${name},password=${password}]`]),
    );
    const kafka = new Kafka({ directory, jars, ports, properties, formatOptions });
    await kafka.start();
    return new SecuredKafka(kafka, directory);
  }

  async grant(acl: readonly AclEntry[]): Promise<void> {
    const ssl = { ca: [readFileSync(this.ca, 'utf8')] };
    const sasl = { mechanism: 'plain', ...ADMIN } as const;
    const admin = new Client({ clientId: 'admin', brokers: this.brokers.split(','), ssl, sasl, logLevel: 0 }).admin();
    await admin.connect();
    try {
      await admin.createAcls({ acl: [...acl] });
    } finally {
      await admin.disconnect();
    }
  }

  async close(): Promise<void> {
    await this.#kafka.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Two authorities, and in `broker.pem` the key and the certificate that the first one has signed. */
async function makeCertificates(directory: string): Promise<void> {
  await Promise.all(['ca', 'other-ca'].map((name) => makeAuthority(directory, name)));
  await makeCertificate(directory, 'ca', 'certificate');
  const parts = ['certificate.key', 'certificate.pem', 'ca.pem'].map((part) => readFileSync(join(directory, part)));
  writeFileSync(join(directory, 'broker.pem'), Buffer.concat(parts), { mode: 0o600 });
}

function propertiesOf(directory: string, { client, controller }: KafkaPorts, users: Users): Record<string, string> {
  const plain = Object.entries({ ...users, [ADMIN.username]: ADMIN.password });
  const login = `username="${ADMIN.username}" password="${ADMIN.password}"`;
  const known = plain.map(([name, password]) => `user_${name}="${password}"`).join(' ');
  const jaas = (mechanism: string) => `listener.name.sasl_ssl.${mechanism}.sasl.jaas.config`;
  return {
    listeners: `SASL_SSL://127.0.0.1:${client},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `SASL_SSL://127.0.0.1:${client}`,
    'listener.security.protocol.map': 'SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'SASL_SSL',
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': join(directory, 'broker.pem'),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': join(directory, 'ca.pem'),
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    [jaas('plain')]: `${MODULES}.plain.PlainLoginModule required ${login} ${known};`,
    [jaas('scram-sha-256')]: `${MODULES}.scram.ScramLoginModule required;`,
    [jaas('scram-sha-512')]: `${MODULES}.scram.ScramLoginModule required;`,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    // The broker itself, to itself and to its controller.
    'super.users': `User:${ADMIN.username};User:ANONYMOUS`,
    'allow.everyone.if.no.acl.found': 'false',
  };
}
