/** A promise and who settles it. */
export class Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve: (value: Value) => void = () => {};
  reject: (error: Error) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Nobody needs to look after its failure: events tell of it as well. */
  unminded(): this {
    this.promise.catch(() => {});
    return this;
  }
}
