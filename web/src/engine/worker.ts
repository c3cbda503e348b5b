import { Leading } from "./leading";
import { leaderLock, type Beginning, type FromWorker, type OnChannel, type ToWorker } from "./messages";

// One of these runs beside each page. The workers of one account agree by a Web Lock on who runs the engine; the others
// relay between their page and the channel. The browser lets go of a lock whose holder is gone, however it went.

/** A leader is asked this often whether it is there, while the page is seen. */
const PING_MS = 1_000;
/** One that has not answered for so long is taken to hang. */
const PATIENCE_MS = 5_000;

const page = (message: FromWorker, transfer: Transferable[] = []) => (self as unknown as Worker).postMessage(message, transfer);

class TabWorker {
  private leading: Leading | undefined;
  private readonly channel: BroadcastChannel;
  private readonly lock: string;
  private leader = "";
  private patience = PATIENCE_MS;
  /** Pings that were not answered. */
  private unanswered = 0;
  private visible: boolean;
  private online: boolean;
  private readonly following: ReturnType<typeof setInterval>;

  constructor(private readonly begin: Beginning) {
    const account = begin.account?.did ?? "";
    this.lock = leaderLock(begin.account?.did);
    this.visible = begin.visible;
    this.online = begin.online;
    this.channel = new BroadcastChannel(`sheaf ${account}`);
    this.channel.onmessage = ({ data }: MessageEvent<OnChannel>) => this.heard(data);
    this.following = setInterval(() => this.lookAfterLeader(), PING_MS);
    void this.join();
  }

  fromPage(message: ToWorker): void {
    if ("request" in message) {
      if (this.leading) void this.leading.asked(this.begin.tab, message.request);
      else this.say({ tab: this.begin.tab, request: message.request });
    } else if ("ping" in message) {
      page({ alive: true });
      if (this.leading) page({ engine: { pong: true }, leader: this.leader });
      else this.say({ tab: this.begin.tab, ping: true });
    } else if ("signed" in message) {
      this.leading?.signed(message.signed);
    } else if ("visible" in message) {
      this.visible = message.visible;
      this.unanswered = 0;
    } else if ("online" in message) {
      this.online = message.online;
      this.leading?.online(message.online);
    }
  }

  /** The page has failed it, or it itself: whoever waits for the lock gets it. */
  stop(cause?: unknown): void {
    if (cause !== undefined) reportError(cause);
    page({ stopped: true });
    self.close();
  }

  private async join(): Promise<void> {
    // As long as this worker lives, so that the leader notices when it does not. The page's worker before this one may hang
    // and not let go of it.
    await new Promise<void>((held) => {
      navigator.locks
        .request(`sheaf tab ${this.begin.tab}`, { steal: true }, () => {
          held();
          return new Promise(() => {});
        })
        .catch(() => self.close());
    });
    this.say({ hello: this.begin.tab });
    await this.lead({});
  }

  /** Waits for the lock, or takes it, and leads as long as it is held. */
  private async lead(options: LockOptions): Promise<void> {
    try {
      await navigator.locks.request(this.lock, options, async () => {
        clearInterval(this.following);
        this.leader = crypto.randomUUID();
        this.leading = await Leading.begin(this.begin, this.online, {
          page,
          tab: (to, engine) => {
            if (to === this.begin.tab) page({ engine, leader: this.leader });
            else this.say({ to, engine, leader: this.leader });
          },
          stopped: (cause) => this.stop(cause),
        });
        // A document that takes long to read is no reason to go from tab to tab.
        const patience = options.steal ? this.patience * 2 : PATIENCE_MS;
        this.patience = patience;
        page({ leader: this.leader });
        this.say({ leader: this.leader, patience });
        return new Promise(() => {});
      });
    } catch (cause) {
      if (cause instanceof DOMException && cause.name === "AbortError") {
        // Taken from us: another tab found us hanging. What we are at is not to be written any more.
        page({ superseded: true });
      } else {
        const damaged = cause instanceof Error && cause.name === "StoreDamaged";
        page({ failed: cause instanceof Error ? cause.message : String(cause), damaged });
      }
      self.close();
    }
  }

  private heard(message: OnChannel): void {
    if ("leader" in message && !("to" in message)) {
      this.leader = message.leader;
      this.patience = message.patience;
      this.unanswered = 0;
      if (!this.leading) page({ leader: message.leader });
    } else if ("to" in message) {
      if (message.to !== this.begin.tab || this.leading) return;
      this.unanswered = 0;
      page({ engine: message.engine, leader: message.leader });
    } else if (this.leading) {
      if ("hello" in message) {
        this.leading.join(message.hello);
        this.say({ leader: this.leader, patience: this.patience });
      } else if ("ping" in message) this.say({ to: message.tab, engine: { pong: true }, leader: this.leader });
      else void this.leading.asked(message.tab, message.request);
    }
  }

  private lookAfterLeader(): void {
    if (!this.visible || this.leader === "") return;
    if (this.unanswered * PING_MS >= this.patience) {
      clearInterval(this.following);
      void this.lead({ steal: true });
      return;
    }
    this.unanswered += 1;
    this.say({ tab: this.begin.tab, ping: true });
  }

  private say(message: OnChannel): void {
    this.channel.postMessage(message);
  }
}

let worker: TabWorker | undefined;
self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if ("begin" in data) worker = new TabWorker(data.begin);
  else worker?.fromPage(data);
};

// WebAssembly ends in an error of this kind and no other, wherever it surfaces.
self.addEventListener("error", ({ error }) => {
  if (error instanceof WebAssembly.RuntimeError) worker?.stop(error);
});
self.addEventListener("unhandledrejection", ({ reason }) => {
  if (reason instanceof WebAssembly.RuntimeError) worker?.stop(reason);
});
