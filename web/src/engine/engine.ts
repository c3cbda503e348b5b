import { engineState } from "../stopped.svelte";
import type { SignedIn, Told } from "../wasm/sheaf_web";
import type { Call, FromEngine, FromWorker, Given, Request, Returned, ToWorker } from "./messages";
import { Signer } from "./signing";

/** The worker of a page that is seen is asked this often whether it is there. */
const LOOK_MS = 1_000;
/** An engine that has said nothing for so long keeps one waiting. */
const WAITING_MS = 4_000;
/** A worker that has not answered for so long is begun anew; the next one has twice as long. */
const HANGING_MS = 10_000;

/** What is answered however often it has to be asked. */
const ASK_AGAIN: readonly Call[] = [
  "signInSettings",
  "signedInAgain",
  "findAccount",
  "documents",
  "refreshDocuments",
  "setTitle",
  "addEditor",
  "removeEditor",
  "details",
  "timeline",
];

/** What is kept on this device cannot be opened, as far as can be told not the next time either. */
export class StoreDamaged extends Error {
  constructor(
    message: string,
    /** Whose it is; nobody's of whoever is not signed in. */
    readonly account: string | undefined,
  ) {
    super(message);
  }
}

/** Shown in this tab, of a document that the engine has open. */
export interface View {
  readonly name: string;
  told(told: Told[]): void;
  /** Another engine leads from now on: the view has to attach itself to it. */
  attach(): void;
  /** Looks again at whether the engine keeps one waiting. */
  look(): void;
  /** Whether it waits for the engine to have something. */
  readonly expects: boolean;
}

interface Asked {
  request: Request;
  /** Whether an engine has been asked. */
  sent: boolean;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * The engine as a page sees it, wherever it runs: in this page's worker or in another tab's. It may change places at any
 * moment; what was asked and not answered is asked again then, and every view attaches itself anew.
 */
export class Engine {
  /** Names this tab to the others. */
  readonly tab = crypto.randomUUID();
  /** Whether it has kept one waiting for some time. */
  waiting = false;
  /** Resolves once somebody leads; rejects where the engine cannot start, with a sentence. */
  readonly ready: Promise<void>;

  private worker: Worker;
  private readonly signer: Signer;
  private leader = "";
  private last = 0;
  private readonly asked = new Map<number, Asked>();
  private readonly views = new Map<string, View>();
  private heard = 0;
  /** How often the worker was asked whether it is there, since it last said anything: a page that slept asked nothing. */
  private unanswered = 0;
  private patience = HANGING_MS;
  private readonly looking: ReturnType<typeof setInterval>;
  private readonly listening = new AbortController();
  private begun: () => void = () => {};
  private failed: (why: Error) => void = () => {};

  constructor(
    private readonly config: string | undefined,
    private readonly account: SignedIn | undefined,
    fetch: (url: string, init: RequestInit) => Promise<Response>,
  ) {
    this.ready = new Promise((resolve, reject) => {
      this.begun = resolve;
      this.failed = reject;
    });
    this.signer = new Signer(fetch);
    this.worker = this.begin();
    const { signal } = this.listening;
    addEventListener("online", () => this.say({ online: true }), { signal });
    addEventListener("offline", () => this.say({ online: false }), { signal });
    document.addEventListener("visibilitychange", () => this.say({ visible: !document.hidden }), { signal });
    this.looking = setInterval(() => this.look(), LOOK_MS);
  }

  /** Asks the engine for something. */
  ask<C extends Call>(call: C, ...given: Given<C>): Promise<Returned<C>> {
    return new Promise((resolve, reject) => {
      const request: Request = { id: ++this.last, call, given };
      this.expect();
      const sent = this.leader !== "";
      this.asked.set(request.id, { request, sent, resolve: (value) => resolve(value as Returned<C>), reject });
      if (sent) this.say({ request });
    });
  }

  /** Tells the engine something that needs no answer. Should the engine change places, it is the view that knows what of it counts. */
  tell<C extends Call>(call: C, ...given: Given<C>): void {
    this.expect();
    if (this.leader !== "") this.say({ request: { id: 0, call, given } });
  }

  /** From now on the view is told what concerns it, beginning with that it may attach itself if there is an engine. */
  add(view: View): void {
    this.views.set(view.name, view);
    if (this.leader !== "") view.attach();
  }

  remove(view: View): void {
    this.views.delete(view.name);
  }

  /** Nothing is asked any more; where this tab led, another goes on. */
  end(): void {
    clearInterval(this.looking);
    this.listening.abort();
    this.worker.terminate();
  }

  private begin(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "sheaf" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.fromWorker(data);
    // Its own errors it tells itself; this is one of loading it.
    worker.onerror = () => this.failed(new Error("A part of Sheaf could not be loaded. Reload the page: there may be a newer Sheaf."));
    const { tab, config, account } = this;
    this.unanswered = 0;
    const begin: ToWorker = { begin: { tab, config, account, visible: !document.hidden, online: navigator.onLine } };
    worker.postMessage(begin);
    return worker;
  }

  private beginAnew(): void {
    this.worker.terminate();
    this.leader = "";
    this.worker = this.begin();
  }

  private say(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  private fromWorker(message: FromWorker): void {
    this.unanswered = 0;
    if ("engine" in message) {
      if (message.leader !== this.leader) return;
      this.hear();
      this.fromEngine(message.engine);
    } else if ("leader" in message) this.follow(message.leader);
    else if ("sign" in message) void this.sign(message);
    else if ("dropSigning" in message) this.signer.drop(message.dropSigning);
    else if ("failed" in message) {
      const { failed, damaged } = message;
      this.failed(damaged ? new StoreDamaged(failed, this.account?.did) : new Error(failed));
    }
    else if ("stopped" in message) engineState.stop();
    else if ("superseded" in message) this.beginAnew();
  }

  private async sign({ sign }: Extract<FromWorker, { sign: unknown }>): Promise<void> {
    const { worker } = this;
    const signed = await this.signer.sign(sign);
    if (worker === this.worker) this.say({ signed }, "body" in signed ? [signed.body] : []);
  }

  private fromEngine(message: FromEngine): void {
    if ("told" in message) this.views.get(message.view)?.told(message.told);
    else if ("returned" in message) this.answered(message.returned.id)?.resolve(message.returned.value);
    else if ("refused" in message) this.answered(message.refused.id)?.reject(new Error(message.refused.why));
  }

  private answered(id: number): Asked | undefined {
    const asked = this.asked.get(id);
    this.asked.delete(id);
    return asked;
  }

  private follow(leader: string): void {
    if (leader === this.leader) return;
    this.leader = leader;
    this.hear();
    const asked = [...this.asked.values()];
    for (const view of this.views.values()) view.attach();
    for (const one of asked) {
      if (!one.sent || ASK_AGAIN.includes(one.request.call)) {
        one.sent = true;
        this.say({ request: one.request });
      } else {
        // What is a view's own it has just asked anew.
        this.answered(one.request.id)?.reject(new Error("Another tab has taken over meanwhile. Try again."));
      }
    }
    this.begun();
  }

  private get expects(): boolean {
    return this.asked.size > 0 || [...this.views.values()].some((view) => view.expects);
  }

  /** Whoever begins to wait waits from now on. */
  private expect(): void {
    if (!this.expects) this.heard = performance.now();
  }

  private hear(): void {
    this.heard = performance.now();
    this.waiting = false;
    this.patience = HANGING_MS;
  }

  private look(): void {
    if (engineState.stopped) return;
    const now = performance.now();
    if (!this.expects) this.heard = now;
    this.waiting = now - this.heard > WAITING_MS;
    for (const view of this.views.values()) view.look();
    if (document.hidden) return;
    if (this.unanswered * LOOK_MS >= this.patience) {
      this.patience *= 2;
      this.beginAnew();
    } else {
      this.unanswered += 1;
      this.say({ ping: true });
    }
  }
}
