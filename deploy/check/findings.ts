/** What is wrong with one thing, each in words. */
export class Findings {
  readonly problems: string[] = [];

  /** Notes `problem` unless something is as it must be. */
  expect(isSo: boolean, problem: string): void {
    if (!isSo) this.problems.push(problem);
  }
}
