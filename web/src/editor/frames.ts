/** How long a frame may be late before a timer takes its place: a hidden page gets none. */
const LATE_MS = 120;

/**
 * Does something once in the next frame, however often it is asked to. In a hidden page, where frames do not come, a
 * timer does it.
 */
export class OncePerFrame {
  private frame = 0;
  private timer = 0;

  constructor(private readonly work: () => void) {}

  ask(): void {
    if (this.timer !== 0) return;
    this.frame = requestAnimationFrame(this.run);
    this.timer = window.setTimeout(this.run, document.hidden ? 0 : LATE_MS);
  }

  cancel(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.timer = 0;
  }

  private readonly run = (): void => {
    this.cancel();
    this.work();
  };
}
