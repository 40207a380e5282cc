import { kafkaTypeOf } from './kafka-error.ts';
import type { KafkaLogSettings } from './kafka-settings.ts';

/** Kafka, or what is in it, is not as the log needs it; the message says what to do. */
export class KafkaSetupError extends Error {
  override readonly name = 'KafkaSetupError';
}

/** What an operator can do about an error of kafkajs's, by what it says. */
const ADVICE: readonly (readonly [RegExp, (settings: KafkaLogSettings) => string])[] = [
  [
    /TOPIC_AUTHORIZATION_FAILED/,
    ({ prefix }) =>
      `its user must be allowed to create, read and write topics that begin with ${prefix}. and to describe their configs`,
  ],
  [
    /GROUP_AUTHORIZATION_FAILED|group coordinator/i,
    ({ prefix }) => `its user must be allowed to read with groups that begin with ${prefix}-`,
  ],
  [
    /wrong version number|before secure TLS/,
    () => 'it speaks no TLS there, see TIDEGATE_KAFKA_TLS and TIDEGATE_KAFKA_CA',
  ],
  [/certificate/i, () => 'TIDEGATE_KAFKA_CA must have the authority that signs the certificates of its brokers'],
  [
    /Closed connection/,
    ({ ssl, sasl }) => {
      const missing = [
        ...(ssl === false ? ['TLS (TIDEGATE_KAFKA_TLS)'] : []),
        ...(sasl === null ? ['SASL (TIDEGATE_KAFKA_SASL)'] : []),
      ];
      return missing.length > 0 ? `it may want ${missing.join(' or ')}` : '';
    },
  ],
];

/**
 * What could not be done with Kafka as a replica starts, in words for its operator; a fault of ours stays as it is.
 *
 * @param what could not be done, where that is known
 */
export function setupErrorOf(error: unknown, settings: KafkaLogSettings, what?: string): unknown {
  if (!(error instanceof Error) || !/^Kafka(JS|Timeout)/.test(error.name)) return error;
  const type = kafkaTypeOf(error);
  const about = `${type ?? ''} ${error.message}`;
  const advice = ADVICE.find(([form]) => form.test(about))?.[1](settings) ?? '';
  // OpenSSL's words go on with where in its source that was.
  const [words = ''] = error.message.split(/:\.\.\//);
  const failed =
    what ?? `Kafka ${type === undefined ? "can't be reached" : 'refuses'} at ${settings.brokers.join(', ')}`;
  const problem = `${failed}: ${words}`;
  return new KafkaSetupError(advice === '' ? problem : `${problem}: ${advice}`);
}
