import wasm from "../wasm/sheaf_web_second.wasm?url";

// The engine comes in two parts, so that the first document is shown sooner. What the first part does not do itself, it calls the second
// for; where that is not there yet, the call has to wait until it is, as no call into the engine can be left unfinished.

declare global {
  /** What the engine calls to have its second part loaded. */
  var loadSecondPart: () => void;
}

/** Where the engine's second part is got from, and how: on demand, or before there is any. */
export class SecondPart {
  private isThere = false;

  /** Where it is called for and cannot be had, the call into the engine ends in the middle: there is no going on, and `stopped` is told. */
  constructor(
    private readonly first: WebAssembly.Exports,
    stopped: (cause: unknown) => void,
  ) {
    globalThis.loadSecondPart = () => {
      try {
        this.join(new WebAssembly.Module(this.fetchedNow()));
      } catch (cause) {
        stopped(cause);
        throw cause;
      }
    };
  }

  /** Loads it, once nothing waits any more. Where that fails it is tried again when it is called for. */
  async prepare(): Promise<void> {
    try {
      this.join(await WebAssembly.compileStreaming(fetch(wasm)));
    } catch (cause) {
      // eslint-disable-next-line no-console -- nobody misses it yet
      console.warn("The engine's second part could not be loaded in advance.", cause);
    }
  }

  /**
   * It fills a table of the first part, through which that calls it from then on. What it calls itself is in another, by the names
   * that `xtask/src/parts.rs` gives.
   */
  private join(second: WebAssembly.Module): void {
    if (this.isThere) return;
    const lent = this.first["lent"] as WebAssembly.Table;
    const first: WebAssembly.ModuleImports = { ...(this.first as WebAssembly.ModuleImports) };
    for (let n = 0; n < lent.length; n++) first[`f${String(n)}`] = lent.get(n) as WebAssembly.ImportValue;
    new WebAssembly.Instance(second, { first });
    this.isThere = true;
  }

  private fetchedNow(): ArrayBuffer {
    const request = new XMLHttpRequest();
    request.open("GET", wasm, false);
    request.responseType = "arraybuffer";
    request.send();
    if (request.status !== 200) throw new Error(`The engine's second part could not be loaded (${String(request.status)}).`);
    return request.response as ArrayBuffer;
  }
}
