import {
  type AclEntry,
  AclOperationTypes as Operation,
  ResourcePatternTypes as Pattern,
  AclPermissionTypes as Permission,
  AclResourceTypes as Resource,
} from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TcpClient } from '../e2e/clients.ts';
import { type GatewayProcess, runTidegate, startGateway, temporaryDirectory } from '../e2e/gateway-process.ts';
import { KAFKA_BROKERS } from '../services/test-services.ts';
import { SecuredKafka } from './secured-kafka.ts';

const PREFIX = 'secured';
const PASSWORD = 'open-sesame';
/** What docs/OPERATIONS.md says that a replica's user needs. */
const RIGHTS = {
  create: [Resource.TOPIC, `${PREFIX}.`, Operation.CREATE],
  read: [Resource.TOPIC, `${PREFIX}.`, Operation.READ],
  write: [Resource.TOPIC, `${PREFIX}.`, Operation.WRITE],
  configs: [Resource.TOPIC, `${PREFIX}.`, Operation.DESCRIBE_CONFIGS],
  groups: [Resource.GROUP, `${PREFIX}-`, Operation.READ],
} as const;
type Right = keyof typeof RIGHTS;
const ALL = Object.keys(RIGHTS) as Right[];
const TOPICS = `its user must be allowed to create, read and write topics that begin with ${PREFIX}. and to describe their configs`;
const USER = 'replica';

function aclOf(user: string, rights: readonly Right[]): AclEntry[] {
  return rights.map((right) => {
    const [resourceType, resourceName, operation] = RIGHTS[right];
    const pattern = { resourceType, resourceName, resourcePatternType: Pattern.PREFIXED };
    return { ...pattern, principal: `User:${user}`, host: '*', operation, permissionType: Permission.ALLOW };
  });
}

/** One that has all rights but one. */
function userWithout(right: Right): string {
  return `without-${right}`;
}

describe.skipIf(KAFKA_BROKERS === undefined && !process.env.CI)('a Kafka with TLS, SASL and an authorizer', () => {
  let kafka: SecuredKafka;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    const users = [USER, 'nobody', ...ALL.map(userWithout)];
    kafka = await SecuredKafka.open(Object.fromEntries(users.map((user) => [user, PASSWORD])));
    await kafka.grant(aclOf(USER, ALL));
    for (const right of ALL) {
      await kafka.grant(
        aclOf(
          userWithout(right),
          ALL.filter((each) => each !== right),
        ),
      );
    }
  }, 120_000);

  afterAll(async () => {
    await kafka?.close();
    await directory.remove();
  });

  function environment(more: Readonly<Record<string, string>>): Record<string, string> {
    return {
      TIDEGATE_KAFKA_BROKERS: kafka.brokers,
      TIDEGATE_KAFKA_CA: kafka.ca,
      TIDEGATE_KAFKA_SASL: 'scram-sha-512',
      TIDEGATE_KAFKA_USER: USER,
      TIDEGATE_KAFKA_PASSWORD: PASSWORD,
      TIDEGATE_KAFKA_REPLICATION: '1',
      TIDEGATE_PREFIX: PREFIX,
      TIDEGATE_PARTITIONS: '4',
      ...more,
    };
  }

  function start(more: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
    return startGateway(directory.path, { env: { ...environment(more), TIDEGATE_LOG_LEVEL: 'trace' } });
  }

  /** Everything that a replica said which did not come to serve. */
  async function refusal(more: Readonly<Record<string, string>>): Promise<string> {
    const said = await start(more).then(
      async (gateway) => {
        await gateway.stop('SIGKILL');
        throw new Error('it was started');
      },
      (error: Error) => error.message,
    );
    expectHarmless(said);
    return said;
  }

  /** No password, as it is or as SASL sends it, and no stack. */
  function expectHarmless(said: string): void {
    expect(said).not.toContain('sesame');
    for (const user of [USER, 'nobody']) {
      const sent = Buffer.from(`\0${user}\0${PASSWORD}`).toString('base64');
      expect(said).not.toContain(sent.slice(-12));
    }
    expect(said).not.toMatch(/(\n|\\n)\s+at /);
  }

  test('serves nobody who may not make the topics, before they are there', async () => {
    expect(await refusal({ TIDEGATE_KAFKA_USER: userWithout('create') })).toContain(
      `the topic ${PREFIX}.rooms can't be made: Not authorized to access topics: [Topic authorization failed]: ${TOPICS}`,
    );
  });

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('serves replicas that come by %s', async (mechanism) => {
    const gateways = await Promise.all([start({ TIDEGATE_KAFKA_SASL: mechanism }), start()]);
    const [ann, bob] = await Promise.all(gateways.map(({ ports }) => TcpClient.open(ports.tcp)));
    const room = `by/${mechanism}`;
    try {
      await ann?.connect('ann');
      await bob?.connect('bob');
      await bob?.ok({ op: 'join', room });
      await ann?.ok({ op: 'publish', room, mid: 'm', data: 'hello' });
      await bob?.until('the message', () => bob.messages(room)[0]?.data === 'hello');
      expect((await ann?.ok({ op: 'history', room, limit: 10 }))?.messages).toHaveLength(1);
    } finally {
      ann?.close();
      bob?.close();
      expect(await Promise.all(gateways.map((gateway) => gateway.stop()))).toEqual([0, 0]);
    }
    for (const { logs } of gateways) expectHarmless(JSON.stringify(logs));
  });

  test('needs to grant nobody that they make topics which are there', async () => {
    const gateway = await start({ TIDEGATE_KAFKA_USER: userWithout('create') });
    expect(await gateway.stop()).toBe(0);
  });

  describe.concurrent('serves nobody', { timeout: 60_000 }, () => {
    test.each(['read', 'write', 'configs'] as const)('without the right: %s', async (right) => {
      expect(await refusal({ TIDEGATE_KAFKA_USER: userWithout(right) })).toContain(
        `Not authorized to access topics: [Topic authorization failed]: ${TOPICS}`,
      );
    });

    test('without the right to groups', async () => {
      expect(await refusal({ TIDEGATE_KAFKA_USER: userWithout('groups') })).toContain(
        `Failed to find group coordinator: its user must be allowed to read with groups that begin with ${PREFIX}-`,
      );
    });

    test('without any right', async () => {
      expect(await refusal({ TIDEGATE_KAFKA_USER: 'nobody' })).toContain(TOPICS);
    });

    test.each([
      ['plain', 'SASL PLAIN authentication failed: Authentication failed: Invalid username or password'],
      ['scram-sha-256', 'invalid credentials with SASL mechanism SCRAM-SHA-256'],
      ['scram-sha-512', 'invalid credentials with SASL mechanism SCRAM-SHA-512'],
    ])('with a wrong password, by %s', async (mechanism, words) => {
      const wrong = { TIDEGATE_KAFKA_SASL: mechanism, TIDEGATE_KAFKA_PASSWORD: 'close-sesame' };
      const said = await refusal(wrong);
      expect(said).toContain(`Kafka can't be reached at ${kafka.brokers}: `);
      expect(said).toContain(words);
      const checked = await runTidegate(['check'], environment(wrong));
      expect(checked).toMatchObject({ code: 1, stdout: '' });
      expect(checked.stderr).toContain(words);
      expectHarmless(checked.stderr);
    });

    test.each([
      ['of another one', () => kafka.otherCa],
      ['that Node knows', () => undefined],
    ])('with the authorities %s', async (_, file) => {
      const ca = file();
      const trust =
        ca === undefined ? { TIDEGATE_KAFKA_CA: '', TIDEGATE_KAFKA_TLS: 'true' } : { TIDEGATE_KAFKA_CA: ca };
      expect(await refusal(trust)).toContain(
        'self-signed certificate in certificate chain: TIDEGATE_KAFKA_CA must have the authority',
      );
    });

    test.each([
      ['that is not there', () => `${directory.path}/nothing.pem`],
      ['without a certificate', () => new URL(import.meta.url).pathname],
    ])('with a file of authorities %s', async (_, file) => {
      const path = file();
      const said = await refusal({ TIDEGATE_KAFKA_CA: path });
      expect(said).toContain(`TIDEGATE_KAFKA_CA: "${path}" is no PEM file of certificates: `);
    });

    const withoutSasl = { TIDEGATE_KAFKA_SASL: '', TIDEGATE_KAFKA_USER: '', TIDEGATE_KAFKA_PASSWORD: '' };
    test.each([
      ['TLS', { TIDEGATE_KAFKA_CA: '' }, 'it may want TLS (TIDEGATE_KAFKA_TLS)'],
      ['SASL', withoutSasl, 'it may want SASL (TIDEGATE_KAFKA_SASL)'],
      ['both', { TIDEGATE_KAFKA_CA: '', ...withoutSasl }, 'it may want TLS (TIDEGATE_KAFKA_TLS) or SASL'],
    ])('without %s', async (_, env, words) => {
      expect(await refusal(env)).toContain(`Kafka can't be reached at ${kafka.brokers}: Closed connection: ${words}`);
    });

    test('with TLS where there is none', async () => {
      const said = await refusal({ TIDEGATE_KAFKA_BROKERS: KAFKA_BROKERS ?? '' });
      expect(said).toContain(': it speaks no TLS there, see TIDEGATE_KAFKA_TLS and TIDEGATE_KAFKA_CA');
    });
  });
});
