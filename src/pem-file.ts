import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from './config.ts';

/**
 * Certificates that others' must be signed by, as a setting names them. A file without any would be the same to Node as
 * one with none that fits.
 *
 * @throws ConfigError if they can't be read
 */
export function readAuthorities(variable: string, file: string): string {
  try {
    const pem = readFileSync(file, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new ConfigError(`${variable}: "${file}" is no PEM file of certificates: ${(error as Error).message}`);
  }
}

/** A certificate of ours and its key. @throws ConfigError if they can't be read, or are not of each other */
export function readIdentity(
  [certVariable, certFile]: readonly [string, string],
  [keyVariable, keyFile]: readonly [string, string],
): { readonly cert: string; readonly key: string } {
  const cert = readAuthorities(certVariable, certFile);
  let isPair: boolean;
  let key: string;
  try {
    key = readFileSync(keyFile, 'utf8');
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new ConfigError(`${keyVariable}: "${keyFile}" is no PEM file of a private key: ${(error as Error).message}`);
  }
  if (!isPair) throw new ConfigError(`${keyVariable}: "${keyFile}" is not the key of the certificate in "${certFile}"`);
  return { cert, key };
}
