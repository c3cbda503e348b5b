import { AfterPause } from "./after_pause";
import type { Crossing } from "./editor/crossing";
import type { Engine, View } from "./engine/engine";
import { askToLast } from "./lasting";
import { StatusLine } from "./status_line.svelte";
import { engineState } from "./stopped.svelte";
import type { Details, Editor, Moment, News, Person, Status, Timeline, Told } from "./wasm/sheaf_web";
import { RELOAD, SAVING, WAITING, listing } from "./words";

/** Each write of a title is a record: one is written when the typing pauses. */
const TITLE_PAUSE_MS = 400;
/** What has not been confirmed for so long is being saved. */
const SAVING_MS = 1_000;
/** Leaving a document waits so long for the device's disk; one that takes longer does not work. */
const LEAVING_MS = 20_000;
/** Whether everything is safe is looked at this often, by who waits for it. */
const SAFE_LOOK_MS = 50;
/** Whoever is seen so soon after opening was here before. */
const WERE_HERE_MS = 3_000;

let opened: OpenDocument[] = [];
let closing: Promise<void>[] = [];
let views = 0;

/** A document as this tab shows it: its text, and what the engine tells of it. */
export class OpenDocument implements View {
  title = $state("");
  /** The fragment to pass on. */
  link = $state("");
  status = $state.raw<Status | undefined>();
  people = $state.raw<Person[]>([]);
  editors = $state.raw<Editor[]>([]);
  /** What the person wrote in vain: the document did not take it. */
  notTaken = $state("");
  /** Who came or went last, to be read out. */
  arrivals = $state("");
  readonly line = new StatusLine(() => this.lookAgain());
  /** Names this view to every engine. */
  readonly name: string;
  readonly text: Crossing;

  private closed = false;
  /** How often an engine was asked to take it on. */
  private attachings = 0;
  /** What is so of a text that is shown and that no engine has: it is as last seen, or it cannot be opened. */
  private without: "opening" | "refused" | undefined;
  private listeners: (() => void)[] = [];
  private openedAt = performance.now();
  private draft = "";
  /** Titles that the engine has not said to be safe. */
  private titles = 0;
  private pendingSince: number | undefined;
  private settled: (() => void)[] = [];
  private readonly renaming = new AfterPause(() => void this.setTitle(this.draft), TITLE_PAUSE_MS);

  private constructor(
    private readonly engine: Engine,
    private readonly address: string,
    makeText: typeof Crossing,
    private readonly begun: (error?: Error) => void,
  ) {
    views += 1;
    this.name = `${engine.tab} ${views}`;
    const { name } = this;
    this.text = new makeText({
      change: (...given) => engine.tell("change", name, ...given),
      undo: (number) => engine.tell("undo", name, number),
      redo: (number) => engine.tell("redo", name, number),
      select: (...given) => engine.tell("select", name, ...given),
      attach: () => this.attach(),
    });
    opened.push(this);
    engine.add(this);
  }

  /** Fetches what shows a document, which is large and comes apart: it will be wanted in a moment. */
  static prepare(): void {
    // Where one cannot be had, whoever needs it says so.
    for (const part of [import("./editor/crossing"), import("./editor/text_view")]) void part.catch(() => {});
  }

  /** Opens the document that a fragment leads to; it is there once the engine has told of it. */
  static async open(engine: Engine, link: string): Promise<OpenDocument> {
    const text = import("./editor/crossing").catch((cause: unknown) => {
      throw new Error(RELOAD, { cause });
    });
    const [{ Crossing }] = await Promise.all([text, engine.ready]);
    return new Promise((resolve, reject) => {
      const document: OpenDocument = new OpenDocument(engine, link, Crossing, (error) => {
        if (error === undefined) resolve(document);
        else {
          document.forget();
          reject(error);
        }
      });
    });
  }

  /** Calls `listener` when there may be something to show in the text, until the returned function is called. */
  onNews(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => (this.listeners = this.listeners.filter((other) => other !== listener));
  }

  // --- what the engine says ---

  attach(): void {
    if (this.closed && !this.text.pending) return;
    this.text.detach();
    const attaching = ++this.attachings;
    this.engine.ask("attach", this.name, this.address, document.hidden || this.closed, this.text.goingOn).then(
      (attached) => {
        this.text.attach(attached);
        this.without = undefined;
        this.take(attached.news);
        this.read();
        this.tellListeners();
        this.begun();
      },
      (error: Error) => {
        // Else another engine has been asked meanwhile.
        if (attaching === this.attachings) this.failed(error);
      },
    );
  }

  told(all: Told[]): void {
    for (const told of all) {
      if (typeof told === "object" && "lastSeen" in told) {
        this.text.lastSeen(told.lastSeen.text);
        this.without = "opening";
        this.take(told.lastSeen.news);
        this.begun();
      } else if (typeof told === "object" && "news" in told) this.take(told.news);
      else if (typeof told === "object" && "notTaken" in told) this.notTaken += told.notTaken;
      else if (this.text.told(told)) this.tellListeners();
    }
    this.read();
    if (!this.text.pending) for (const done of this.settled.splice(0)) done();
  }

  look(): void {
    this.read();
  }

  /** Whether something here waits for the engine. */
  get expects(): boolean {
    return this.text.pending || this.titles > 0;
  }

  /** The engine cannot open the document. What is shown already stays, to be copied. */
  private failed(error: Error): void {
    this.begun(error);
    if (!this.status) return;
    this.without = "refused";
    this.status = { ...this.status, sentence: error.message, tone: "attention", role: "reader" };
    this.read();
  }

  private take(news: News): void {
    const { title, link, status, editors, people, carets } = news;
    this.title = title;
    this.link = link;
    if (status) this.status = status;
    if (editors) this.editors = editors;
    if (people) {
      const early = performance.now() - this.openedAt < WERE_HERE_MS;
      this.arrivals = (early ? "" : comings(this.people, people)) || this.arrivals;
      this.people = people;
    }
    if (carets) this.text.showCarets(carets);
    if (people || carets) this.tellListeners();
  }

  private tellListeners(): void {
    for (const listener of this.listeners) listener();
  }

  /** What is behind the status line, as of now. */
  details(): Promise<Details> {
    return this.engine.ask("details", this.name);
  }

  /** The last that the person did here was to restore an earlier text: it is what undo takes back. */
  restored = $state(false);

  /** Who wrote what and when, as of now. It stays so until `closeTimeline`, or until another tab leads. */
  timeline(): Promise<Timeline> {
    return this.engine.ask("timeline", this.name);
  }

  /** The text after a turn of the timeline, beside that before it. */
  moment(turn: number): Promise<Moment> {
    return this.engine.ask("moment", this.name, turn);
  }

  closeTimeline(): void {
    this.engine.tell("closeTimeline", this.name);
  }

  // --- what the person does ---

  /** Makes the text what it was after a turn, by an edit like any other. Whether it was not that already. */
  async restore(turn: number): Promise<boolean> {
    const restored = await this.engine.ask("restore", this.name, turn);
    this.restored = restored;
    return restored;
  }

  /** The person wrote in the text, or took something back. */
  wrote(): void {
    this.restored = false;
    askToLast();
    this.line.touched();
  }

  /** The person writes a title. It counts once they pause, or on [`settleTitle`]. */
  rename(title: string): void {
    this.draft = title;
    this.renaming.ask();
    this.line.touched();
  }

  settleTitle(): void {
    this.renaming.flush();
  }

  hidden(hidden: boolean): void {
    if (this.closed) return;
    this.settleTitle();
    this.engine.tell("hidden", this.name, hidden);
  }

  async addEditor(did: string): Promise<Editor[]> {
    return (this.editors = await this.engine.ask("addEditor", this.name, did));
  }

  async removeEditor(did: string): Promise<Editor[]> {
    return (this.editors = await this.engine.ask("removeEditor", this.name, did));
  }

  /** Whether something could still be lost. */
  unsaved(): boolean {
    this.settleTitle();
    return !engineState.stopped && (this.expects || (!this.closed && (this.status?.unsaved ?? 0) > 0));
  }

  close(): void {
    if (this.closed) return;
    this.settleTitle();
    this.closed = true;
    this.line.stop();
    this.listeners = [];
    if (engineState.stopped) {
      this.forget();
      return;
    }
    const done = this.leave();
    closing.push(done);
    void done.then(() => (closing = closing.filter((other) => other !== done)));
  }

  /** Once all of it is on the device's disk, whichever engine that takes. */
  private async leave(): Promise<void> {
    if (this.text.pending) {
      await new Promise<void>((resolve) => {
        this.settled.push(resolve);
        setTimeout(resolve, LEAVING_MS);
      });
    }
    // Should the engine change places now, the view goes with the old one.
    await this.engine.ask("detach", this.name).catch(() => {});
    this.forget();
  }

  private forget(): void {
    this.engine.remove(this);
    opened = opened.filter((other) => other !== this);
  }

  private async setTitle(title: string): Promise<void> {
    if (title === this.title) {
      this.read();
      return;
    }
    this.titles += 1;
    try {
      await this.engine.ask("setTitle", this.name, title);
    } finally {
      this.titles -= 1;
      this.read();
    }
  }

  private lookAgain(): void {
    if (this.closed) return;
    this.engine.tell("look", this.name);
    this.read();
  }

  private read(): void {
    const { status } = this;
    if (this.closed || !status) return;
    this.pendingSince = this.expects ? (this.pendingSince ?? performance.now()) : undefined;
    // What the engine cannot take is not on its way.
    const drafting = this.renaming.asked || (this.expects && this.without !== "refused");
    this.line.show(this.asFarAsKnown(status), drafting);
  }

  /** What is so, as far as it can be told here: the engine speaks of what it has been told. */
  private asFarAsKnown(status: Status): Status {
    const { pendingSince } = this;
    if (pendingSince === undefined || status.saving || status.document !== "here" || this.without === "refused") return status;
    if (this.engine.waiting) return { ...status, sentence: WAITING, tone: "attention", saving: false };
    // What is typed in a text as it was last seen is not being saved yet: it is still “Opening”.
    const late = this.without === undefined && performance.now() - pendingSince > SAVING_MS;
    return late ? { ...status, sentence: SAVING, tone: "working", saving: true } : status;
  }
}

/** Closes every open document; resolves once everything in them is safe on this device. */
export async function closeAll(): Promise<void> {
  for (const document of [...opened]) document.close();
  await Promise.all(closing);
}

/** Resolves once nothing in this tab could be lost, however long that takes; writing goes on meanwhile. */
export async function allSafe(): Promise<void> {
  while (opened.some((document) => document.unsaved())) await new Promise((resolve) => setTimeout(resolve, SAFE_LOOK_MS));
}

// The browser asks whether to leave while something could still be lost, which normally is never for longer than a moment.
addEventListener("beforeunload", (event) => {
  const unsaved = opened.filter((document) => document.unsaved());
  if (unsaved.length > 0) event.preventDefault();
});

function comings(before: Person[], after: Person[]): string {
  const missingFrom = (others: Person[], people: Person[]) =>
    people.filter((p) => !p.isSelf && !others.some((o) => o.did === p.did)).map((p) => p.name);
  const came = missingFrom(before, after);
  const went = missingFrom(after, before);
  const words = [];
  if (came.length > 0) words.push(`${listing(came)} joined`);
  if (went.length > 0) words.push(`${listing(went)} left`);
  return words.join(", ");
}
