import { type HistoryResult, type HistorySize, type PageFigures, SOURCES, type SourceName } from './history-plan.ts';
import { formatDisturbance } from './load-plan.ts';
import { spreadOf } from './statistics.ts';
import { formatCount, formatMs, formatSpread, formatTable } from './table.ts';

const NAMES: Readonly<Record<SourceName, string>> = { memory: 'memory', redis: 'Redis', scan: 'a scan of Kafka' };

export function formatHistory(rounds: readonly HistoryResult[], size: HistorySize): string {
  const beside = Math.floor(size.records / size.recordsBetween);
  const lines = [
    `## history: pages from ${formatCount(size.ago)} messages ago`,
    '',
    `A room of ${formatCount(size.records)} messages, and ${formatCount(beside)} of ${size.roomsBeside} other rooms between them in its partition. Pages go`,
    `forward, and begin ${formatCount(size.ago)} to ${formatCount(size.ago + size.agoSpread)} of the room's messages ago. Readers ask for a page when they have one.`,
    'Kafka, Redis, the replicas and the load share all cores.',
    '',
    formatPages(rounds),
    ...formatDisturbance(rounds.map(({ usage }) => usage)),
  ];
  return lines.join('\n');
}

function formatPages(rounds: readonly HistoryResult[]): string {
  const header = ['from', 'page of', 'readers', 'p50 ms, median [min–max]', 'p99 ms', 'pages/s', 'pages'];
  const cells = rounds[0]?.figures ?? [];
  const rows = SOURCES.flatMap((source) =>
    cells
      .filter((cell) => cell.source === source)
      .map((cell) => {
        const spread = (read: (figures: PageFigures) => number, format: (value: number) => string): string =>
          formatSpread(spreadOf(rounds.map((round) => read(sameOf(round, cell)))), format);
        return [
          NAMES[source],
          String(cell.limit),
          String(cell.readers),
          spread(({ p50Ms }) => p50Ms, formatPageMs),
          spread(({ p99Ms }) => p99Ms, formatPageMs),
          spread(({ pagesPerSecond }) => pagesPerSecond, formatRate),
          formatCount(rounds.reduce((sum, round) => sum + sameOf(round, cell).pages, 0)),
        ];
      }),
  );
  return formatTable(header, rows);
}

/** Every round has the same ones. */
function sameOf({ figures }: HistoryResult, cell: PageFigures): PageFigures {
  const { source, limit, readers } = cell;
  return figures.find((each) => each.source === source && each.limit === limit && each.readers === readers) ?? cell;
}

function formatPageMs(ms: number): string {
  return ms < 1 ? ms.toFixed(3) : formatMs(ms);
}

function formatRate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : formatCount(perSecond);
}
