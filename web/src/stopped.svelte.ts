class Engine {
  /**
   * The engine has stopped by a mistake of its own, and can keep nothing any more. What is in the page stays to be copied;
   * nothing may be typed, for it would be lost.
   */
  stopped = $state(false);

  /** Says so, and leaves the cause to the console. */
  stop(cause?: unknown): void {
    this.stopped = true;
    if (cause !== undefined) reportError(cause);
  }

  /** Does something that the engine takes part in; should it fail, the page and the engine no longer agree. */
  guard(work: () => void): void {
    if (this.stopped) return;
    try {
      work();
    } catch (cause) {
      this.stop(cause);
    }
  }
}

export const engineState = new Engine();
