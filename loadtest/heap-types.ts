/**
 * node loadtest/heap-types.ts FEW SESSIONS MANY SESSIONS: what a session is made of, by two heap snapshots of so many
 * sessions (see `npm run bench -- idle --snapshots`). What has no class of its own (arrays, closures, strings, …)
 * counts as its owner's: the object of a class nearest to it on the shortest way from the root, and the property that
 * leads there. Only memory of the main thread's heap is seen, and what several hold counts for one of them.
 */
import { readFileSync } from 'node:fs';
import { formatTable } from './table.ts';

interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[], ...unknown[]];
      readonly edge_fields: readonly string[];
      readonly edge_types: readonly [readonly string[], ...unknown[]];
    };
  };
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
  readonly strings: readonly string[];
}

const ROWS = 50;
/** Below, it is chance. */
const BYTES_MIN = 2;
/** Classes that say nothing of whose they are. */
const PLAIN: ReadonlySet<string> = new Set(['Object', 'Array', 'Map', 'Set', 'Promise', 'Function']);

class Heap {
  readonly #snapshot: Snapshot;
  readonly #nodeSize: number;
  readonly #field: (name: string) => number;
  /** By node: the node and the edge that lead to it. */
  readonly #parents: Int32Array;
  readonly #ways: Int32Array;
  readonly count: number;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    const { node_fields } = snapshot.snapshot.meta;
    this.#nodeSize = node_fields.length;
    this.#field = (name) => node_fields.indexOf(name);
    this.count = snapshot.nodes.length / this.#nodeSize;
    this.#parents = new Int32Array(this.count).fill(-1);
    this.#ways = new Int32Array(this.count);
    this.#walk();
  }

  get nodes(): number[] {
    return Array.from({ length: this.count }, (_, node) => node).filter((node) => this.#parents[node] !== -1);
  }

  size(node: number): number {
    return this.#get(node, 'self_size');
  }

  /** Such as `Session.#identity → Object`, or only `Session`. */
  owner(node: number): string {
    let at = node;
    let path = '';
    while (this.#isPlain(at) && at !== 0) {
      const parent = this.#parents[at] as number;
      path = `.${this.#wayName(this.#ways[at] as number)}`;
      at = parent;
    }
    return at === node ? this.#name(node) : `${this.#name(at)}${path}`;
  }

  /** Breadth first, so that the way to each node is a shortest one. */
  #walk(): void {
    const { edges, snapshot } = this.#snapshot;
    const edgeSize = snapshot.meta.edge_fields.length;
    const edgeTypes = snapshot.meta.edge_types[0];
    const firstEdges = new Int32Array(this.count + 1);
    for (let node = 0; node < this.count; node++) {
      firstEdges[node + 1] = (firstEdges[node] as number) + this.#get(node, 'edge_count') * edgeSize;
    }
    const queue = [0];
    this.#parents[0] = 0;
    for (const node of queue) {
      for (let edge = firstEdges[node] as number; edge < (firstEdges[node + 1] as number); edge += edgeSize) {
        const to = (edges[edge + 2] as number) / this.#nodeSize;
        if (this.#parents[to] !== -1 || edgeTypes[edges[edge] as number] === 'weak') continue;
        this.#parents[to] = node;
        this.#ways[to] = edge;
        queue.push(to);
      }
    }
  }

  #get(node: number, field: string): number {
    return this.#snapshot.nodes[node * this.#nodeSize + this.#field(field)] as number;
  }

  #name(node: number): string {
    return this.#snapshot.strings[this.#get(node, 'name')] as string;
  }

  #wayName(edge: number): string {
    const { edges, strings, snapshot } = this.#snapshot;
    const type = snapshot.meta.edge_types[0][edges[edge] as number];
    const name = edges[edge + 1] as number;
    return type === 'element' || type === 'hidden' ? '[]' : (strings[name] as string);
  }

  #isPlain(node: number): boolean {
    const type = this.#snapshot.snapshot.meta.node_types[0][this.#get(node, 'type')];
    const name = this.#name(node);
    if (name.startsWith('Node /')) return false;
    return (type !== 'object' && type !== 'native') || PLAIN.has(name) || name.startsWith('system /');
  }
}

interface Total {
  readonly objects: number;
  readonly bytes: number;
}

const NONE: Total = { objects: 0, bytes: 0 };

function totalsOf(file: string): Map<string, Total> {
  const heap = new Heap(JSON.parse(readFileSync(file, 'utf8')) as Snapshot);
  const totals = new Map<string, Total>();
  for (const node of heap.nodes) {
    const owner = heap.owner(node);
    const { objects, bytes } = totals.get(owner) ?? NONE;
    totals.set(owner, { objects: objects + 1, bytes: bytes + heap.size(node) });
  }
  return totals;
}

const [fewFile, fewText, manyFile, manyText] = process.argv.slice(2);
const sessions = Number(manyText) - Number(fewText);
if (fewFile === undefined || manyFile === undefined || !(sessions > 0)) {
  throw new Error('usage: node loadtest/heap-types.ts FEW SESSIONS MANY SESSIONS');
}
const few = totalsOf(fewFile);
const rows = [...totalsOf(manyFile)]
  .map(([owner, { objects, bytes }]) => {
    const less = few.get(owner) ?? NONE;
    return { owner, objects: (objects - less.objects) / sessions, bytes: (bytes - less.bytes) / sessions };
  })
  .sort((one, other) => other.bytes - one.bytes);
const shown = rows.filter(({ bytes }) => bytes >= BYTES_MIN).slice(0, ROWS);
const sum = rows.reduce((bytes, row) => bytes + row.bytes, 0);
console.log(
  formatTable(
    ['what', 'bytes a session', 'objects a session'],
    [
      ...shown.map(({ owner, bytes, objects }) => [owner, bytes.toFixed(0), objects.toFixed(2)]),
      ['all, those not shown too', sum.toFixed(0), ''],
    ],
  ),
);
