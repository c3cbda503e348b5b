import {
  ChangeSet,
  EditorSelection,
  Text,
  Transaction,
  type ChangeDesc,
  type EditorState,
  type SelectionRange,
  type StateEffect,
  type TransactionSpec,
} from "@codemirror/state";
import type { Caret, GoingOn, Splice, Told } from "../wasm/sheaf_web";
import { fromEngine } from "./plain_text";
import { changesOf, sectionsOf } from "./splices";

// The text is in two places, and neither waits for the other: it is shown here, and kept in the engine. What each does
// crosses what the other does meanwhile, and is mapped over it; the engine's half of this is `view_text` of `sheaf-web`,
// which must map as CodeMirror does.
//
//     base ── onItsWay ── later ──> what both will have        base: what the engine has told, and confirmed of ours
//      shown ──────────── ahead ──> the same                   ahead: what has come and is not drawn yet
//
// One change is on its way at a time; the next goes when the engine has it on the device's disk.

/** What the view wants of the engine. */
export interface EngineSide {
  change(number: number, seen: number, splices: Splice[], anchor: number, head: number): void;
  undo(number: number): void;
  redo(number: number): void;
  select(seen: number, anchor: number, head: number): void;
  /** The two have lost each other: the view has to attach itself anew. */
  attach(): void;
}

/** An `EditorView`, or in tests a bare state. */
export interface TextView {
  readonly state: EditorState;
  dispatch(spec: TransactionSpec): void;
}

type Step = "undo" | "redo";

/** The view's half of a text. */
export class Crossing {
  private base: Text = Text.empty;
  private onItsWay: { number: number; what: ChangeSet | Step } | undefined;
  private later: (ChangeSet | Step)[] = [];
  /** Leads from what is shown to what both will have. */
  private ahead: ChangeSet | undefined;
  /** Whether what has come is the reader's own, as undo is. */
  private follow = false;
  /** How many splices the engine has told of. */
  private seen = 0;
  private last = 0;
  private attached = false;
  /** Whether there is a text, an engine's or as it was last seen. */
  private begun = false;
  private view: TextView | undefined;
  private selected = "";
  /** Where others are, in what both will have. */
  carets: Caret[] = [];

  constructor(private readonly engine: EngineSide) {}

  // --- the engine's side ---

  /** Until [`attach`], the engine is not spoken to. */
  detach(): void {
    this.attached = false;
  }

  /** What the engine is told to go on from; nothing where there was no engine before. */
  get goingOn(): GoingOn | undefined {
    if (!this.begun) return undefined;
    const { onItsWay } = this;
    const text = this.base.toString();
    if (!onItsWay || typeof onItsWay.what === "string") return { text };
    return { text, onItsWay: { number: onItsWay.number, splices: sectionsOf(onItsWay.what) } };
  }

  /** The text as it was last seen, before an engine has it: the view begins with it, as though an engine had told it. */
  lastSeen(text: string): void {
    this.base = Text.of(text.split("\n"));
    this.begun = true;
  }

  /** An engine has taken the view on. */
  attach({ text, arrived, splices }: { text?: string | undefined; arrived: boolean; splices: Splice[] }): void {
    if (text !== undefined) this.base = Text.of(text.split("\n"));
    this.seen = 0;
    this.attached = this.begun = true;
    // A step may have been taken already, and another engine knows of none: it is not taken twice.
    if (arrived || typeof this.onItsWay?.what === "string") this.confirm();
    this.come(splices);
    this.selected = "";
    if (this.onItsWay) this.send(this.onItsWay);
    else this.sendNext();
  }

  /** What the engine tells of the text. Whether there is something to show, or a selection to tell. */
  told(told: Exclude<Told, { news: unknown } | { notTaken: unknown } | { lastSeen: unknown }>): boolean {
    if (!this.attached) return false;
    if (told === "outOfStep") {
      this.lost("The engine says that this view is out of step; it begins anew.");
      return false;
    }
    if ("text" in told) {
      const { number, splices, own } = told.text;
      if (number - splices.length !== this.seen) {
        this.lost(`Changes ${this.seen} to ${number - splices.length} of the text have not come; the view begins anew.`);
        return false;
      }
      // The caret goes to what the reader took back, and to nothing else.
      if (own) this.show();
      this.come(splices);
      this.follow ||= own;
      return true;
    }
    if ("done" in told) {
      if (told.done !== this.onItsWay?.number) return false;
      this.confirm();
      this.sendNext();
      return this.untold !== undefined;
    }
    const { number, length, sum } = told.check;
    if (number === this.seen && (length !== this.base.length || sum !== sumOf(this.base))) {
      this.lost("The text shown here was not the engine's; it is taken anew.");
    }
    return false;
  }

  /** Takes over where others are, in the text as the engine told it. */
  showCarets(carets: Caret[]): void {
    const mine = [this.onItsWay?.what, ...this.later];
    this.carets = mine.reduce((carets, what) => (what instanceof ChangeSet ? moved(carets, what) : carets), carets);
  }

  /** Whether something of ours is not on the device's disk for certain. */
  get pending(): boolean {
    return this.onItsWay !== undefined || this.later.length > 0;
  }

  private lost(why: string): void {
    // eslint-disable-next-line no-console -- a net that should never be needed must be heard of when it is
    console.warn(why);
    this.attached = false;
    this.engine.attach();
  }

  /** What came from the engine: it crosses what is ours and not confirmed, and waits to be drawn. */
  private come(splices: Splice[]): void {
    this.seen += splices.length;
    if (splices.length === 0) return;
    const mine = this.pending;
    // Mapped one by one, as the engine does; where there is nothing to map they are one.
    const steps = mine ? splices.map((splice) => [splice]) : [splices];
    for (const step of steps) {
      const change = changesOf(step, this.base.length);
      this.base = change.apply(this.base);
      let crossed = change;
      const cross = (what: ChangeSet | Step): ChangeSet | Step => {
        if (!(what instanceof ChangeSet)) return what;
        const kept = what.map(crossed);
        crossed = crossed.map(what, true);
        return kept;
      };
      if (this.onItsWay) this.onItsWay = { ...this.onItsWay, what: cross(this.onItsWay.what) };
      this.later = this.later.map(cross);
      this.carets = moved(this.carets, crossed);
      this.ahead = this.ahead ? this.ahead.compose(crossed) : crossed;
    }
  }

  /** What was on its way is the engine's. */
  private confirm(): void {
    const what = this.onItsWay?.what;
    if (what instanceof ChangeSet) this.base = what.apply(this.base);
    this.onItsWay = undefined;
  }

  private sendNext(): void {
    if (!this.attached || this.onItsWay) return;
    const what = this.later.shift();
    if (what === undefined) return;
    this.onItsWay = { number: ++this.last, what };
    this.send(this.onItsWay);
  }

  private send({ number, what }: { number: number; what: ChangeSet | Step }): void {
    if (what === "undo") this.engine.undo(number);
    else if (what === "redo") this.engine.redo(number);
    else {
      const { anchor, head } = this.selection(what);
      this.engine.change(number, this.seen, sectionsOf(what), anchor, head);
    }
  }

  // --- the view's side ---

  /** The whole text, for a view that shows it from now on. */
  begin(): Text {
    this.ahead = undefined;
    return this.whole();
  }

  /** The whole text, with all that was done here. */
  whole(): Text {
    const mine = [this.onItsWay?.what, ...this.later];
    return mine.reduce<Text>((text, what) => (what instanceof ChangeSet ? what.apply(text) : text), this.base);
  }

  /** The view that shows it. */
  connect(view: TextView | undefined): void {
    this.view = view;
  }

  /** Takes over what the person did. Call it for every transaction of the view in order, and [`sendOn`] after them. */
  handOver(transaction: Transaction): void {
    if (!transaction.docChanged || transaction.annotation(fromEngine)) return;
    let change = transaction.changes;
    if (this.ahead) {
      const local = change;
      change = local.map(this.ahead);
      this.ahead = this.ahead.map(local, true);
    }
    this.carets = moved(this.carets, change);
    const before = this.later.at(-1);
    if (before instanceof ChangeSet) this.later[this.later.length - 1] = before.compose(change);
    else this.later.push(change);
  }

  /** Sends what the person did, if nothing else is on its way. */
  sendOn(): void {
    this.sendNext();
  }

  /** Takes back the person's own last change, or brings it back. */
  step(step: Step): void {
    this.later.push(step);
    this.sendNext();
  }

  /** Tells where the caret or the selection is, once the engine's text is the one it is in. */
  select(): void {
    const { untold } = this;
    if (!untold) return;
    this.selected = placed(untold);
    this.engine.select(this.seen, untold.anchor, untold.head);
  }

  /** The selection, where it is to be told and can be. */
  private get untold(): SelectionRange | undefined {
    if (!this.view || !this.attached || this.pending || this.ahead) return undefined;
    const { main } = this.view.state.selection;
    return placed(main) === this.selected ? undefined : main;
  }

  /** Whether everything that has come is shown. */
  get even(): boolean {
    return this.ahead === undefined;
  }

  /**
   * Shows what has come. `mayShow` can put it off, for instance because somebody is composing right there. The reader's
   * selection stays with the text it is in, unless what came is the reader's own, as undo is: then the caret goes to it.
   * `alongside` is what else changes with it. Whether anything was shown.
   */
  show(
    mayShow: (changes: ChangeDesc) => boolean = () => true,
    alongside: (changes: ChangeDesc) => StateEffect<unknown> | undefined = () => undefined,
  ): boolean {
    const changes = this.ahead;
    if (!changes || !this.view || !mayShow(changes)) return false;
    const { follow } = this;
    this.ahead = undefined;
    this.follow = false;
    const spec: TransactionSpec = {
      changes,
      effects: alongside(changes) ?? [],
      annotations: [fromEngine.of(true), Transaction.remote.of(!follow), Transaction.addToHistory.of(false)],
      filter: false,
    };
    if (follow) {
      let end = 0;
      changes.iterChangedRanges((_fromA, _toA, _fromB, toB) => (end = toB));
      spec.selection = EditorSelection.cursor(end);
      spec.scrollIntoView = true;
    }
    this.view.dispatch(spec);
    return true;
  }

  /** Where the selection is after a change that is to be sent, as far as there is nothing after it. */
  private selection(what: ChangeSet): { anchor: number; head: number } {
    let end = 0;
    what.iterChangedRanges((_fromA, _toA, _fromB, toB) => (end = toB));
    const selection = this.view?.state.selection.main;
    if (!selection || this.later.length > 0) return { anchor: end, head: end };
    const at = (place: number) => (this.ahead ? this.ahead.mapPos(place) : place);
    const [anchor, head] = [at(selection.anchor), at(selection.head)];
    if (!this.ahead) this.selected = placed({ anchor, head });
    return { anchor, head };
  }
}

function placed({ anchor, head }: { anchor: number; head: number }): string {
  return `${anchor} ${head}`;
}

function moved(carets: Caret[], change: ChangeDesc): Caret[] {
  if (change.empty) return carets;
  // With the character before it, as the engine has it: what somebody else writes right there comes after it.
  const at = (place: number) => change.mapPos(Math.min(place, change.length), -1);
  return carets.map(({ person, anchor, head }) => ({ person, anchor: at(anchor), head: at(head) }));
}

/** FNV-1a over the text's code units, as the engine has it. */
export function sumOf(text: Text): number {
  let sum = 0x811c9dc5;
  const { length } = text;
  for (let from = 0; from < length; from += 4096) {
    const part = text.sliceString(from, Math.min(length, from + 4096), "\n");
    for (let i = 0; i < part.length; i++) sum = Math.imul(sum ^ part.charCodeAt(i), 0x01000193);
  }
  return sum >>> 0;
}
