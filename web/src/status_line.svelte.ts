import type { Status, Tone } from "./wasm/sheaf_web";

/** An ordinary change is on the device's disk in some milliseconds: saying so each time would only flicker. */
const QUICK_MS = 1_000;
/** The line is busy for so long after the last that there was to save: between two keys it does not change. */
const BUSY_MS = 150;
/** What is read out has held for so long. */
const SETTLED_MS = 1_500;

/** The status line as it is drawn, and what of it is read out. */
export class StatusLine {
  sentence = $state("");
  tone = $state<Tone>("working");
  /** Something is being changed that the sentence does not speak of yet. */
  busy = $state(false);
  /** What is worth interrupting somebody for: that something needs attention, and that it no longer does. */
  said = $state("");

  private savingSince: number | undefined;
  private look: ReturnType<typeof setTimeout> | undefined;
  private calm: ReturnType<typeof setTimeout> | undefined;
  private say: ReturnType<typeof setTimeout> | undefined;
  private worried = false;

  /** `read` is to read the status anew and hand it to `show`. */
  constructor(private readonly read: () => void) {}

  /** The person changed something, which the engine saves now. */
  touched(): void {
    this.isBusy(true);
    this.lookAgain();
  }

  /** `drafting`: the person is at something that the engine has not heard of. */
  show(status: Status, drafting = false): void {
    this.isBusy(status.saving || drafting);
    if (status.saving) {
      this.savingSince ??= performance.now();
      if (this.sentence !== "" && performance.now() - this.savingSince < QUICK_MS) {
        this.lookAgain();
        return;
      }
    } else {
      this.savingSince = undefined;
    }
    if (status.sentence === this.sentence && status.tone === this.tone) return;
    this.sentence = status.sentence;
    this.tone = status.tone;
    clearTimeout(this.say);
    this.say = setTimeout(() => this.speak(), SETTLED_MS);
  }

  stop(): void {
    clearTimeout(this.look);
    clearTimeout(this.calm);
    clearTimeout(this.say);
  }

  private isBusy(busy: boolean): void {
    if (busy) {
      clearTimeout(this.calm);
      this.calm = undefined;
      this.busy = true;
    } else if (this.busy) {
      this.calm ??= setTimeout(() => {
        this.calm = undefined;
        this.busy = false;
      }, BUSY_MS);
    }
  }

  private lookAgain(): void {
    this.look ??= setTimeout(() => {
      this.look = undefined;
      this.read();
    }, QUICK_MS);
  }

  private speak(): void {
    const pressing = this.tone === "attention";
    if (pressing || (this.worried && this.tone === "calm")) {
      this.said = this.sentence;
      this.worried = pressing;
    }
  }
}
