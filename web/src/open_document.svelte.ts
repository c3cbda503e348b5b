import type { DocumentSession, Editor, Person, Status } from "./wasm/sheaf_web";
import { listing } from "./words";

/** An open document as the page shows it: what the engine says, read again whenever it says that something changed. */
export class OpenDocument {
  title = $state("");
  status = $state.raw<Status>() as Status;
  people = $state.raw<Person[]>([]);
  editors = $state.raw<Editor[]>([]);
  /** Who came or went last, to be read out. */
  arrivals = $state("");

  private listeners: (() => void)[] = [];

  constructor(readonly session: DocumentSession) {
    this.read();
    session.onChange(() => {
      const before = this.people;
      this.read();
      this.arrivals = comings(before, this.people) || this.arrivals;
      for (const listener of this.listeners) listener();
    });
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onNews(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => (this.listeners = this.listeners.filter((other) => other !== listener));
  }

  close(): void {
    this.listeners = [];
    void this.session.close();
  }

  private read(): void {
    const { session } = this;
    this.title = session.title();
    this.status = session.status();
    this.editors = session.editors();
    this.people = session.people();
  }
}

function comings(before: Person[], after: Person[]): string {
  const missingFrom = (others: Person[], people: Person[]) => [
    ...new Set(people.filter((p) => !p.isSelf && !others.some((o) => o.did === p.did)).map((p) => p.name)),
  ];
  const came = missingFrom(before, after);
  const went = missingFrom(after, before);
  const words = [];
  if (came.length > 0) words.push(`${listing(came)} joined`);
  if (went.length > 0) words.push(`${listing(went)} left`);
  return words.join(", ");
}
