import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CALLS, DOCUMENT_PATH } from '../../src/gateway/api/server-api.ts';
import { BOUNDS } from '../../src/protocol/bounds.ts';
import { DISCONNECTS } from '../../src/protocol/disconnects.ts';
import { ERRORS, type ErrorCode } from '../../src/protocol/errors.ts';
import { type Answer, ApiClient } from './api-client.ts';
import { TcpClient } from './clients.ts';
import { type GatewayProcess, startGateway, temporaryDirectory } from './gateway-process.ts';

interface Schema {
  readonly [keyword: string]: unknown;
}

interface Media {
  readonly schema: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

interface DocumentedResponse {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content: { readonly 'application/json': Media };
}

interface Parameter {
  readonly $ref?: string;
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required: boolean;
  readonly schema: Schema;
  readonly example: unknown;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: { readonly 'application/json': Media } };
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
  readonly security?: readonly object[];
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly parameters: Readonly<Record<string, Parameter>>;
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Readonly<Record<string, DocumentedResponse>>;
  };
}

const text = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8');
const document = JSON.parse(text) as OpenApi;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);

/** What a `$ref` names, or the thing itself. */
function resolve<T extends { readonly $ref?: string }>(thing: T): T {
  if (thing.$ref === undefined) return thing;
  let found: unknown = document;
  for (const step of thing.$ref.replace('#/', '').split('/')) found = (found as Record<string, unknown>)[step];
  if (found === undefined) throw new Error(`${thing.$ref} is not in the document`);
  return found as T;
}

const responseOf = (operation: Operation, status: number | string) => {
  const response = operation.responses[status];
  if (response === undefined) throw new Error(`no response ${status} is documented`);
  return resolve(response);
};

/** The document's schemas, closed: here nothing may come that isn't documented. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, of]) => [key, closed(of)]);
  const copy = Object.fromEntries(entries) as Record<string, unknown>;
  return copy.type === 'object' && 'properties' in copy ? { ...copy, additionalProperties: false } : copy;
}

const defs = closed(document.components.schemas);

/** What is wrong with a value by a schema of the document, or null. */
function complaint(schema: Schema, value: unknown): string | null {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allowUnionTypes: true });
  const whole = JSON.stringify({ ...(closed(schema) as object), $defs: defs });
  const validate = ajv.compile(JSON.parse(whole.replaceAll('#/components/schemas/', '#/$defs/')) as object);
  return validate(value) ? null : `${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`;
}

let gateway: GatewayProcess;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let api: ApiClient;
let keyed: GatewayProcess;
let keyedDirectory: Awaited<ReturnType<typeof temporaryDirectory>>;

beforeAll(async () => {
  [directory, keyedDirectory] = [await temporaryDirectory(), await temporaryDirectory()];
  gateway = await startGateway(directory.path);
  keyed = await startGateway(keyedDirectory.path, { env: { TIDEGATE_API_KEYS: 'key' } });
  api = new ApiClient(gateway.ports.internal);
});

afterAll(async () => {
  for (const process of [gateway, keyed]) await process.stop();
  for (const { remove } of [directory, keyedDirectory]) await remove();
});

/** Sends what the document has as an example, with some of it replaced. */
function send(method: string, path: string, operation: Operation, query: string, body?: unknown): Promise<Answer> {
  const parameters = (operation.parameters ?? []).map(resolve);
  const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters.find((known) => known.in === 'path' && known.name === name);
    return encodeURIComponent(String(parameter?.example));
  });
  return api.send(method, `${url}${query}`, body === undefined ? undefined : JSON.stringify(body));
}

function pair({ name, example }: Parameter): string {
  return `${name}=${encodeURIComponent(String(example))}`;
}

test('the document has the calls that there are, and no others', () => {
  const ours = [...CALLS.map(({ method, path }) => `${method} ${path}`), `GET ${DOCUMENT_PATH}`];
  expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(ours.sort());
});

test('the document is served as it is', async () => {
  const { status, json, headers } = await api.get(DOCUMENT_PATH);
  expect([status, headers['content-type']]).toEqual([200, 'application/json']);
  expect(json).toEqual(document);
});

test('every error of the table is documented with its status, and no other', () => {
  const documented = Object.values(document.components.responses).map((response) => {
    const { properties } = (response.content['application/json'].schema.properties as { error: Schema }).error as {
      properties: { code: { enum: readonly string[] } };
    };
    const status = new Set<string>();
    for (const { operation } of operations) {
      for (const [number, used] of Object.entries(operation.responses)) {
        if (used.$ref !== undefined && resolve(used) === response) status.add(number);
      }
    }
    return { status: [...status], codes: [...properties.code.enum] };
  });
  const ours = [...new Set(Object.values(ERRORS).map(({ status }) => status))].map((status) => ({
    status: [String(status)],
    codes: (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].status === status),
  }));
  // The one status that is not of a code: there is no such call.
  ours.push({ status: ['404'], codes: ['bad_request'] });
  const byStatus = (a: { status: string[] }, b: { status: string[] }) => Number(a.status[0]) - Number(b.status[0]);
  expect(documented.sort(byStatus)).toEqual(ours.sort(byStatus));
});

test('calls can fail in the ways that are documented', () => {
  const common = ['400', '401', '403', '404', '429', '500', '503'];
  for (const { path, operation } of operations) {
    const expected = path.endsWith('/publish') ? [...common, '409', '504'] : common;
    const errors = Object.keys(operation.responses).filter((status) => status !== '200');
    expect(errors, path).toEqual(path === DOCUMENT_PATH ? [] : expected.sort());
    expect(operation.security, path).toEqual(path === DOCUMENT_PATH ? [{}] : undefined);
  }
});

test('bounds and codes are those of the tables', () => {
  const { schemas } = document.components;
  const field = (schema: string, name: string) =>
    (schemas[schema]?.properties as Record<string, Schema> | undefined)?.[name];
  expect(schemas.User?.maxLength).toBe(BOUNDS.userBytesMax);
  expect(schemas.Room?.maxLength).toBe(BOUNDS.roomBytesMax);
  expect(schemas.Mid?.maxLength).toBe(BOUNDS.midBytesMax);
  expect(schemas.Epoch?.maxLength).toBe(BOUNDS.epochBytesMax);
  expect(field('HistoryPage', 'messages')?.maxItems).toBe(BOUNDS.historyMax);
  expect(field('RoomPresence', 'users')?.maxItems).toBe(BOUNDS.presencePageMax);
  expect(field('DisconnectRequest', 'reason')?.maxLength).toBe(BOUNDS.disconnectReasonBytesMax);
  const codes = Object.values(DISCONNECTS).map(({ code }) => code);
  expect(field('DisconnectRequest', 'code')).toMatchObject({ enum: codes, default: DISCONNECTS.kicked.code });
  const data = BOUNDS.dataBytesMax.toLocaleString('en');
  expect(field('PublishRequest', 'data')?.description).toContain(data);
});

test('the examples of answers are right by their schemas', () => {
  let count = 0;
  for (const { path, operation } of operations) {
    for (const status of Object.keys(operation.responses)) {
      const { schema, example } = responseOf(operation, status).content['application/json'];
      if (path === DOCUMENT_PATH) continue;
      expect(complaint(schema, example), `${path} ${status}`).toBeNull();
      count += 1;
    }
  }
  expect(count).toBeGreaterThan(40);
});

test('the server takes every example of a request, and answers as documented', async () => {
  const ann = await TcpClient.open(gateway.ports.tcp);
  await ann.connect('ann');
  await ann.ok({ op: 'join', room: 'lobby' });
  await ann.ok({ op: 'status', status: 'away', text: 'lunch' });
  for (const { method, path, operation } of operations) {
    if (path === DOCUMENT_PATH) continue;
    const { schema } = responseOf(operation, 200).content['application/json'];
    const queries = (operation.parameters ?? []).map(resolve).filter((parameter) => parameter.in === 'query');
    const needed = queries.filter(({ required }) => required).map(pair);
    const optional = queries.filter(({ required }) => !required).map(pair);
    const { required: bodyNeeded, content } = operation.requestBody ?? { required: false };
    const bodies = Object.values(content?.['application/json'].examples ?? {}).map(({ value }) => value);
    if (!bodyNeeded) bodies.push(undefined);
    for (const body of bodies) {
      if (body !== undefined) expect(complaint(content?.['application/json'].schema ?? {}, body), path).toBeNull();
      for (const more of [[], ...optional.map((one) => [one])]) {
        const query = [...needed, ...more].join('&');
        const answer = await send(method, path, operation, query === '' ? '' : `?${query}`, body);
        expect(answer.status, `${path}?${query} ${answer.text}`).toBe(200);
        expect(complaint(schema, answer.json), path).toBeNull();
      }
    }
    for (const parameter of queries) {
      expect(complaint(parameter.schema, parameter.example), parameter.name).toBeNull();
    }
  }
  // The examples were real: there was something to answer with.
  const history = await api.get('/api/v1/rooms/lobby/history?limit=300');
  expect((history.json.messages as unknown[]).length).toBeGreaterThan(0);
  ann.close();
});

test('what is not required may be left out, and what is may not', async () => {
  for (const { method, path, operation } of operations) {
    const queries = (operation.parameters ?? []).map(resolve).filter((parameter) => parameter.in === 'query');
    const { content } = operation.requestBody ?? {};
    const schema = resolve((content?.['application/json'].schema ?? {}) as Schema & { $ref?: string });
    const required = (schema.required ?? []) as readonly string[];
    const [body] = Object.values(content?.['application/json'].examples ?? {}).map(({ value }) => value as object);
    const needed = queries.filter((query) => query.required);
    for (const name of required) {
      const rest = Object.fromEntries(Object.entries(body ?? {}).filter(([key]) => key !== name));
      expect(await api.failure(send(method, path, operation, '', rest))).toBe(`400 bad_request ${name}: missing`);
    }
    for (const { name } of needed) {
      expect(await api.failure(send(method, path, operation, ''))).toBe(`400 bad_request ${name}: missing`);
    }
  }
});

test('real errors are as documented', async () => {
  const published = document.paths['/api/v1/rooms/{room}/publish']?.post;
  if (published === undefined) throw new Error('publish is not documented');
  const path = '/api/v1/rooms/conflicts/publish';
  await api.post(path, { from: 'a', data: 1, mid: 'm' });
  const withoutKey = new ApiClient(keyed.ports.internal);
  const answers = [
    await api.post(path, {}),
    await withoutKey.post(path, {}),
    await api.post('/api/v1/rooms/@system/publish', { from: 'a', data: 1 }),
    await api.get(path),
    await api.post(path, { from: 'a', data: 2, mid: 'm' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 401, 403, 404, 409]);
  for (const { status, json, headers } of answers) {
    const response = responseOf(published, status);
    expect(complaint(response.content['application/json'].schema, json)).toBeNull();
    for (const header of Object.keys(response.headers ?? {})) {
      expect(headers[header.toLowerCase()], header).toBeDefined();
    }
  }
});

test('the check itself sees what is wrong', () => {
  const sessions = { $ref: '#/components/schemas/Sessions' };
  const right = { sessions: 1, partial: false };
  expect(complaint(sessions, right)).toBeNull();
  for (const wrong of [{ sessions: -1 }, { sessions: '1' }, { sessions: undefined }, { partial: 0 }, { more: 1 }]) {
    expect(complaint(sessions, JSON.parse(JSON.stringify({ ...right, ...wrong })))).not.toBeNull();
  }
});

test('the page of the API has the statuses and codes of the table, and the calls', () => {
  const page = readFileSync(new URL('../../docs/API.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (\d{3}) \| ([^|]+) \|/gm)].map(([, status, codes = '']) => ({
    status: Number(status),
    codes: [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => code).sort(),
  }));
  const statuses = [...new Set(Object.values(ERRORS).map(({ status }) => status))];
  const ours = statuses.map((status) => ({
    status: status as number,
    codes: (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].status === status).sort(),
  }));
  ours.push({ status: 404, codes: ['bad_request'] });
  expect(rows).toEqual(ours.sort((a, b) => a.status - b.status));
  const calls = [...page.matchAll(/^\| `((?:GET|POST) \S+)` \|/gm)].map(([, call]) => call);
  expect(calls.sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort());
});

test('the examples for curl work as they stand', async () => {
  const page = readFileSync(new URL('../../docs/API.md', import.meta.url), 'utf8');
  const [, script = ''] = /^```sh\n(.*?)^```$/ms.exec(page) ?? [];
  const here = script.replace('http://127.0.0.1:9100', `http://127.0.0.1:${keyed.ports.internal}`);
  const ours = here.replace('my-key', 'key').replaceAll('curl -sS', 'curl -sS -f');
  const { stdout } = await promisify(execFile)('sh', ['-ec', ours]);
  const answers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(answers).toHaveLength(script.match(/^curl /gm)?.length ?? 0);
  expect(answers).toHaveLength(CALLS.length + 1);
});
