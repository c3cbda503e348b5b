import {
  Annotation,
  ChangeSet,
  EditorSelection,
  EditorState,
  Transaction,
  type ChangeDesc,
  type Extension,
  type Text,
  type TransactionSpec,
} from "@codemirror/state";
import type { Splice } from "../wasm/sheaf_web";

// The text is in two places: in the engine, which is right, and in the view, which is shown. This module keeps them
// equal. The engine may be ahead (others' changes arrive between frames, and wait while an input method composes); the
// view never is, since every local change is handed over in the turn in which it happens.
//
// What the engine is ahead by is one ChangeSet, `ahead`. A local change made meanwhile crosses it: each is mapped over
// the other, so that both sides arrive at the same text.

/** The engine's side of a text. */
export interface TextModel {
  takeChanges(): Splice[];
  edit(splices: Splice[]): void;
}

/** The view's side: an `EditorView`, or in tests a bare state. */
export interface TextView {
  readonly state: EditorState;
  dispatch(spec: TransactionSpec): void;
}

/** Marks transactions that come from the engine: they are not handed back to it. */
const fromEngine = Annotation.define<true>();

export class Binding {
  /** Leads from the view's text to the engine's. */
  private ahead: ChangeSet | undefined;

  constructor(
    private readonly model: TextModel,
    private readonly view: TextView,
  ) {}

  /** Whether the view shows exactly the engine's text, as far as was last asked. */
  get even(): boolean {
    return this.ahead === undefined;
  }

  /** Where a position in the view's text is in the engine's. */
  toModel(position: number): number {
    return this.ahead ? this.ahead.mapPos(position) : position;
  }

  /** Hands a local change over. Call it for every transaction of the view, in order. */
  handOver(transaction: Transaction): void {
    if (!transaction.docChanged || transaction.annotation(fromEngine)) return;
    const local = transaction.changes;
    this.pull(local.length);
    if (this.ahead) {
      this.model.edit(splicesOf(local.map(this.ahead)));
      this.ahead = this.ahead.map(local, true);
    } else {
      this.model.edit(splicesOf(local));
    }
  }

  /**
   * Shows what the engine is ahead by. `mayShow` can put it off, for instance because somebody is composing right there.
   * The reader's selection stays with the text it is in, unless the change is the reader's own, as undo is: then `follow`
   * takes the caret to it.
   */
  show({ mayShow, follow = false }: { mayShow?: (changes: ChangeDesc) => boolean; follow?: boolean } = {}): void {
    this.pull(this.view.state.doc.length);
    const changes = this.ahead;
    if (!changes || (mayShow && !mayShow(changes))) return;
    this.ahead = undefined;
    const spec: TransactionSpec = {
      changes,
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
  }

  private pull(viewLength: number): void {
    const splices = this.model.takeChanges();
    if (splices.length === 0) return;
    const news = changesOf(splices, this.ahead ? this.ahead.newLength : viewLength);
    this.ahead = this.ahead ? this.ahead.compose(news) : news;
  }
}

/** As splices that apply one after another, each counting in the text as those before left it. */
export function splicesOf(changes: ChangeSet): Splice[] {
  const splices: Splice[] = [];
  changes.iterChanges((fromA, toA, fromB, _toB, inserted) => {
    splices.push({ at: fromB, delete: toA - fromA, insert: inserted.toString() });
  });
  return splices;
}

/** The same the other way round, for a text of `length` code units. */
export function changesOf(splices: Splice[], length: number): ChangeSet {
  // In pairs, as in merge sort: one after another would cost the text's length for every splice.
  const steps: ChangeSet[] = [];
  for (const { at, delete: gone, insert } of splices) {
    steps.push(ChangeSet.of({ from: at, to: at + gone, insert }, length, "\n"));
    length += insert.length - gone;
  }
  const whole = (from: number, to: number): ChangeSet => {
    const only = steps[from];
    if (!only) throw new Error("no splices");
    if (to - from === 1) return only;
    const middle = (from + to) >> 1;
    return whole(from, middle).compose(whole(middle, to));
  };
  return whole(0, steps.length);
}

const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/**
 * Lines end in `\n` alone. A `\r` that somebody else wrote is a character of the text like any other, so that offsets
 * agree with the engine's; what is typed or pasted here is made to have none, and no half characters.
 */
export const plainText: Extension = [
  EditorState.lineSeparator.of("\n"),
  EditorState.transactionFilter.of((transaction) => {
    if (!transaction.docChanged || transaction.annotation(fromEngine)) return transaction;
    const corrections = correctionsOf(transaction.changes, transaction.newDoc);
    return corrections.length > 0 ? [transaction, { changes: corrections, sequential: true }] : transaction;
  }),
];

function correctionsOf(changes: ChangeSet, doc: Text): { from: number; to: number; insert?: string }[] {
  const corrections: { from: number; to: number; insert?: string }[] = [];
  changes.iterChangedRanges((_fromA, _toA, from, to) => {
    for (const { index, 0: end } of doc.sliceString(from, to).matchAll(/\r\n?/g)) {
      // Of `\r\n` only the `\r` goes.
      const at = from + index;
      const before = doc.sliceString(at + 1, at + 2) === "\n";
      corrections.push(before || end.length === 2 ? { from: at, to: at + 1 } : { from: at, to: at + 1, insert: "\n" });
    }
    // One further on either side: a change may have cut a pair in two. Two further, to see whole pairs as such.
    const start = Math.max(0, from - 2);
    const around = doc.sliceString(start, Math.min(doc.length, to + 2));
    for (const { index } of around.matchAll(LONE_SURROGATE)) {
      const at = start + index;
      if (at >= from - 1 && at <= to) corrections.push({ from: at, to: at + 1, insert: "\uFFFD" });
    }
  }, true);
  corrections.sort((a, b) => a.from - b.from);
  return corrections.filter((correction, i) => corrections[i - 1]?.from !== correction.from);
}
