import { AfterPause } from "./after_pause";
import { StatusLine } from "./status_line.svelte";
import { engineState } from "./stopped.svelte";
import type { DocumentSession, Editor, Person, Status } from "./wasm/sheaf_web";
import { listing } from "./words";

/** Each write of a title is a record: one is written when the typing pauses. */
const TITLE_PAUSE_MS = 400;
/** Whoever is seen so soon after opening was here before. */
const WERE_HERE_MS = 3_000;

let opened: OpenDocument[] = [];
let closing: Promise<void>[] = [];

/** An open document as the page shows it: what the engine says, read again whenever it says that something changed. */
export class OpenDocument {
  title = $state("");
  /** The fragment to pass on. */
  link = $state("");
  status = $state.raw<Status>() as Status;
  people = $state.raw<Person[]>([]);
  editors = $state.raw<Editor[]>([]);
  /** Who came or went last, to be read out. */
  arrivals = $state("");
  readonly line = new StatusLine(() => this.read());

  private closed = false;
  private listeners: (() => void)[] = [];
  private readonly openedAt = performance.now();
  private draft = "";
  private readonly renaming = new AfterPause(() => {
    if (this.draft !== this.session.title()) this.session.setTitle(this.draft);
    this.read();
  }, TITLE_PAUSE_MS);

  constructor(readonly session: DocumentSession) {
    opened.push(this);
    this.hidden(document.hidden);
    this.read();
    session.onChange(() => {
      const before = this.people;
      this.read();
      const early = performance.now() - this.openedAt < WERE_HERE_MS;
      this.arrivals = (early ? "" : comings(before, this.people)) || this.arrivals;
      for (const listener of this.listeners) listener();
    });
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onNews(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => (this.listeners = this.listeners.filter((other) => other !== listener));
  }

  /** The person changed the text or the title. */
  touched(): void {
    this.line.touched();
  }

  /** The person writes a title. It counts once they pause, or on [`settleTitle`]. */
  rename(title: string): void {
    this.draft = title;
    this.renaming.ask();
    this.touched();
  }

  settleTitle(): void {
    engineState.guard(() => this.renaming.flush());
  }

  hidden(hidden: boolean): void {
    if (this.closed) return;
    this.settleTitle();
    engineState.guard(() => this.session.hidden(hidden));
  }

  addEditor(did: string): void {
    this.session.addEditor(did);
    this.read();
  }

  removeEditor(did: string): void {
    this.session.removeEditor(did);
    this.read();
  }

  /** How much could still be lost. */
  unsaved(): number {
    this.settleTitle();
    return this.closed || engineState.stopped ? 0 : this.session.status().unsaved;
  }

  close(): void {
    if (this.closed) return;
    this.settleTitle();
    this.closed = true;
    this.renaming.cancel();
    this.line.stop();
    this.listeners = [];
    opened = opened.filter((other) => other !== this);
    if (engineState.stopped) return;
    const done = this.session.close().catch((cause: unknown) => engineState.stop(cause));
    closing.push(done);
    void done.then(() => (closing = closing.filter((other) => other !== done)));
  }

  private read(): void {
    if (this.closed) return;
    engineState.guard(() => {
      const { session } = this;
      this.title = session.title();
      this.link = session.link();
      this.status = session.status();
      this.editors = session.editors();
      this.people = session.people();
      this.line.show(this.status, this.renaming.asked);
    });
  }
}

/** Closes every open document; resolves once everything in them is safe on this device. */
export async function closeAll(): Promise<void> {
  for (const document of opened) document.close();
  await Promise.all(closing);
}

// The browser asks whether to leave while something could still be lost, which normally is never for longer than a moment.
addEventListener("beforeunload", (event) => {
  const unsaved = opened.reduce((sum, document) => sum + document.unsaved(), 0);
  if (unsaved > 0) event.preventDefault();
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
