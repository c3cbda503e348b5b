/** Does something once one has stopped asking for it for a while, or at once when told to. */
export class AfterPause {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly work: () => void,
    private readonly ms: number,
  ) {}

  /** Whether it was asked for and is not done yet. */
  get asked(): boolean {
    return this.timer !== undefined;
  }

  ask(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), this.ms);
  }

  /** Does it now if it was asked for. */
  flush(): void {
    if (this.timer === undefined) return;
    this.cancel();
    this.work();
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
