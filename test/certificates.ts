import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** An elliptic curve, as its keys are made fast. */
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

/** Makes an authority of certificates: `<name>.pem` and `<name>.key`. */
export async function makeAuthority(directory: string, name: string): Promise<void> {
  await make(directory, name, ['-subj', `/CN=${name}`]);
}

/** Makes a certificate of 127.0.0.1 that the authority has signed: `<name>.pem` and `<name>.key`. */
export async function makeCertificate(directory: string, authority: string, name: string): Promise<void> {
  const [ca, key] = ['pem', 'key'].map((ending) => join(directory, `${authority}.${ending}`));
  const signed = ['-CA', ca ?? '', '-CAkey', key ?? '', '-addext', 'basicConstraints=critical,CA:FALSE'];
  await make(directory, name, [...signed, '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']);
}

async function make(directory: string, name: string, args: readonly string[]): Promise<void> {
  const files = ['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.pem`)];
  await promisify(execFile)('openssl', ['req', '-x509', ...NEW_KEY, ...args, ...files]);
}
