import uPlot from 'uplot';
import { make, setText } from '../dom.ts';
import { SPAN_SECONDS } from './history.ts';
import type { Unit } from './units.ts';

/** One line of a plot. */
export interface Line {
  readonly label: string;
  /** What it says about the total, under the plot; absent: nothing. */
  readonly note?: string;
  readonly values: readonly (number | null)[];
}

export interface PanelLook {
  readonly title: string;
  readonly unit: Unit;
  /** Explains what is shown, for those who don't know. */
  readonly hint: string;
  /** There are no halves of it. */
  readonly isWhole: boolean;
}

/** Of a page that was just opened. */
const SPAN_SECONDS_MIN = 30;
const AXIS_PX = 52;
/** Lines are told apart without colours as well. */
const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [10, 4, 2, 4]];
/** Colours in the style sheet, each chosen beside the others for those who see few of them. */
export const COLOURS = 8;

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });
/** Between two ticks: 1, 2 or 5 times any power of ten, and those above 1. */
const STEPS = Array.from({ length: 18 }, (_, i) => 10 ** (i - 4)).flatMap((power) => [power, 2 * power, 5 * power]);
const WHOLE_STEPS = STEPS.filter((step) => step >= 1);

const cursors = uPlot.sync('dashboard');

/** The clock at each tick, but for one so near to the end that it would be cut off. */
function moments({ scales }: uPlot, ticks: readonly number[]): string[] {
  const { min = 0, max = 0 } = scales.x ?? {};
  return ticks.map((tick) => (tick > max - (max - min) / 12 ? '' : CLOCK.format(tick * 1_000)));
}

/** A tick's words, shorter: `5.00 ms` is `5 ms`, and that rates are such is said above. */
function scaleWords(words: string): string {
  return words
    .replace('/s', '')
    .replace(/\.(\d*?)0+(?=\D|$)/, (_, digits: string) => (digits === '' ? '' : `.${digits}`));
}

/** A plot of the last minutes with a line or more, and in words what they are now, or where the pointer is. */
export class Panel {
  readonly element: HTMLElement;
  readonly #look: PanelLook;
  readonly #list = make('dl', 'values');
  readonly #canvas = make('div', 'plot');
  #lines: readonly Line[] = [];
  #times: readonly number[] = [];
  #plot: uPlot | null = null;
  /** Labels of the lines that the plot is made for. */
  #drawn = '';
  #words: { readonly value: HTMLElement; readonly note: HTMLElement }[] = [];
  /** Where the pointer is, as a moment's place; null: now is told. */
  #pointed: number | null = null;

  constructor(look: PanelLook) {
    this.#look = look;
    const title = make('h3', '', look.title);
    title.title = look.hint;
    this.#canvas.setAttribute('role', 'img');
    this.#canvas.setAttribute('aria-label', `${look.title}, the last ${SPAN_SECONDS / 60} minutes: ${look.hint}`);
    this.element = make('section', 'panel', title, this.#list, this.#canvas);
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
  }

  /** Draws lines, in the order of their colours. */
  show(times: readonly number[], lines: readonly Line[]): void {
    this.#times = times;
    this.#lines = lines;
    const labels = lines.map(({ label }) => label).join('\n');
    if (labels !== this.#drawn) this.#make(labels);
    this.#draw();
  }

  /** The colours have changed. */
  redraw(): void {
    this.#plot?.destroy();
    this.#plot = null;
    this.#draw();
  }

  #make(labels: string): void {
    this.#drawn = labels;
    this.#plot?.destroy();
    this.#plot = null;
    this.#words = this.#lines.map(() => ({ value: make('b'), note: make('span', 'note') }));
    const rows = this.#lines.map(({ label }, i) => {
      const words = this.#words[i];
      const swatch = make('i', `swatch line-${i % COLOURS} dash-${i % DASHES.length}`);
      return make(
        'div',
        '',
        make('dt', '', swatch, label),
        make('dd', '', ...(words ? [words.value, words.note] : [])),
      );
    });
    this.#list.replaceChildren(...rows);
  }

  #draw(): void {
    if (this.#plot === null && this.#size.width > 0) this.#plot = this.#create();
    this.#plot?.setData([[...this.#times], ...this.#lines.map(({ values }) => [...values])], false);
    const end = this.#times.at(-1) ?? Date.now() / 1_000;
    const begin = Math.min(this.#times[0] ?? end, end - SPAN_SECONDS_MIN);
    this.#plot?.setScale('x', { min: Math.max(begin, end - SPAN_SECONDS), max: end });
    this.#say();
  }

  #say(): void {
    for (const [i, { values, note = '' }] of this.#lines.entries()) {
      const words = this.#words[i];
      if (words === undefined) continue;
      const value = this.#pointed === null ? values.at(-1) : values[this.#pointed];
      setText(words.value, this.#look.unit(value ?? null));
      setText(words.note, this.#pointed === null ? note : '');
    }
  }

  #create(): uPlot {
    const style = getComputedStyle(this.#canvas);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    const axis: uPlot.Axis = {
      stroke: colour('muted'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    };
    return new uPlot(
      {
        ...this.#size,
        legend: { show: false },
        padding: [8, 4, 0, 0],
        cursor: { y: false, sync: { key: cursors.key }, drag: { x: false, y: false }, points: { size: 6 } },
        scales: {
          x: { time: true },
          // From zero, and with room above what is highest.
          y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] },
        },
        axes: [
          { ...axis, space: 70, size: 24, values: moments },
          {
            ...axis,
            space: 32,
            size: AXIS_PX,
            values: (_, ticks) => ticks.map((tick) => scaleWords(this.#look.unit(tick))),
            incrs: this.#look.isWhole ? WHOLE_STEPS : STEPS,
          },
        ],
        series: [
          {},
          ...this.#lines.map(({ label }, i) => ({
            label,
            stroke: colour(`line-${i % COLOURS}`),
            width: 1.75,
            dash: [...(DASHES[i % DASHES.length] ?? [])],
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [({ cursor: { idx } }) => this.#point(idx ?? null)] },
      },
      [[...this.#times], ...this.#lines.map(({ values }) => [...values])],
      this.#canvas,
    );
  }

  #point(place: number | null): void {
    if (place === this.#pointed) return;
    this.#pointed = place;
    this.#say();
  }

  #resize(): void {
    const size = this.#size;
    if (size.width === 0) return;
    if (this.#plot === null) this.#draw();
    else this.#plot.setSize(size);
  }

  /** As much as the panel has room for. */
  get #size(): { readonly width: number; readonly height: number } {
    return { width: this.#canvas.clientWidth, height: this.#canvas.clientHeight };
  }
}
