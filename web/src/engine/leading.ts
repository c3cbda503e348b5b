import init, { Sheaf } from "../wasm/sheaf_web";
import wasm from "../wasm/sheaf_web_bg.wasm?url";
import { goLive } from "./live";
import { CALLS, storeOf, tabOf, type Beginning, type Call, type FromEngine, type FromWorker, type Request, type Signed } from "./messages";
import { SecondPart } from "./second_part";
import { Signing } from "./signing";

/** What the leader speaks through. */
interface Voices {
  page(message: FromWorker, transfer?: Transferable[]): void;
  tab(tab: string, message: FromEngine): void;
  stopped(cause?: unknown): void;
}

/** The calls that a page begins with. Once one is answered, nobody waits for what is loaded next. */
const SHOWING: ReadonlySet<Call> = new Set<Call>(["attach", "refreshDocuments"]);

type Methods = Record<Call, (...given: unknown[]) => unknown>;

/** The engine at work, for all of the account's tabs. */
export class Leading {
  private readonly tabs = new Set<string>();
  /** Views that are just being attached: what they want has to wait for that. */
  private readonly attaching = new Map<string, Promise<unknown>>();

  private constructor(
    private readonly sheaf: Sheaf,
    private readonly signing: Signing,
    private readonly voices: Voices,
    private readonly secondPart: SecondPart,
  ) {}

  private rest: Promise<void> | undefined;
  private isLive = false;

  static async begin({ tab, config, account }: Beginning, online: boolean, voices: Voices): Promise<Leading> {
    const exports = (await init({ module_or_path: wasm })) as unknown as WebAssembly.Exports;
    const secondPart = new SecondPart(exports, (cause) => voices.stopped(cause));
    const signing = new Signing((message, transfer) => voices.page(message, transfer));
    const sheaf = await Sheaf.start(
      config,
      account,
      storeOf(account?.did),
      (url: string, request: RequestInit) => signing.fetch(url, request),
      (view, told) => voices.tab(tabOf(view), { view, told }),
      () => voices.stopped(),
    );
    if (!online) sheaf.online(false);
    const leading = new Leading(sheaf, signing, voices, secondPart);
    leading.tabs.add(tab);
    return leading;
  }

  online(online: boolean): void {
    this.sheaf.online(online);
  }

  signed(answer: Signed): void {
    this.signing.answered(answer);
  }

  /** A tab is there. When it is gone, so are its views. */
  join(tab: string): void {
    if (this.tabs.has(tab)) return;
    this.tabs.add(tab);
    // It holds this lock for as long as it lives.
    void navigator.locks.request(`sheaf tab ${tab}`, () => {
      this.tabs.delete(tab);
      void this.sheaf.detachAll(`${tab} `);
    });
  }

  async asked(tab: string, { id, call, given }: Request): Promise<void> {
    this.join(tab);
    if (!CALLS.includes(call)) return;
    const view = String(given[0]);
    try {
      if (call !== "attach") {
        const attaching = this.attaching.get(view);
        if (attaching) await attaching.catch(() => {});
      }
      // Which of its methods takes what, the page's types have seen to.
      const returned = (this.sheaf as unknown as Methods)[call](...given);
      if (call === "attach") {
        this.attaching.set(view, Promise.resolve(returned));
        void Promise.resolve(returned)
          .catch(() => {})
          .then(() => {
            this.attaching.delete(view);
          });
      }
      if (SHOWING.has(call)) {
        void Promise.resolve(returned)
          .catch(() => {})
          .then(() => this.loadTheRest(call));
      }
      const value = returned instanceof Promise ? ((await returned) as unknown) : returned;
      if (id !== 0) this.voices.tab(tab, { returned: { id, value } });
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) this.voices.stopped(error);
      else this.voices.tab(tab, { refused: { id, why: error instanceof Error ? error.message : String(error) } });
    }
  }

  /** What a page does not have to wait for: the engine's second part and, with a first document, the live channel. */
  private loadTheRest(shown: Call): void {
    this.rest ??= this.secondPart.prepare();
    if (shown !== "attach" || this.isLive) return;
    this.isLive = true;
    void this.rest.then(() => goLive(this.sheaf));
  }
}
