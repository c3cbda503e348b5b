/** How long a frame may be late before a timer takes its place: a hidden page gets none. */
const LATE_MS = 120;

/**
 * Does something once in the next frame, however often it is asked to. In a hidden page, where frames do not come, a
 * timer does it.
 */
export class OncePerFrame {
  private frame = 0;
  private timer = 0;
  /** What asks in a while, unless something asks before. */
  private patience = 0;
  private hurried = false;

  constructor(private readonly work: () => void) {}

  /** Not in the next frame, but in so many milliseconds, unless it is asked for before. */
  askIn(ms: number): void {
    if (this.timer === 0 && this.patience === 0) this.patience = window.setTimeout(() => this.ask(), ms);
  }

  /** What was asked for with patience is asked for in so many milliseconds from now; however often it is hurried after that. */
  hurry(ms: number): void {
    if (this.patience === 0 || this.hurried) return;
    this.losePatience();
    this.askIn(ms);
    this.hurried = true;
  }

  ask(): void {
    this.losePatience();
    if (this.timer !== 0) return;
    this.frame = requestAnimationFrame(this.run);
    this.timer = window.setTimeout(this.run, document.hidden ? 0 : LATE_MS);
  }

  cancel(): void {
    this.losePatience();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.timer = 0;
  }

  private losePatience(): void {
    clearTimeout(this.patience);
    this.patience = 0;
    this.hurried = false;
  }

  private readonly run = (): void => {
    this.cancel();
    this.work();
  };
}
