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

/**
 * Lines end in `\n` alone. A `\r` that somebody else wrote is a character of the text like any other, so that offsets
 * agree with the engine's; what is typed or pasted here is made to have none, and no half characters.
 */
export const plainText: Extension = [
  EditorState.lineSeparator.of("\n"),
  EditorState.transactionFilter.of((transaction) => {
    if (!transaction.docChanged || transaction.annotation(fromEngine)) return transaction;
    const corrections = correctionsOf(transaction.changes, transaction.startState.doc);
    return corrections.length > 0 ? [transaction, { changes: corrections, sequential: true }] : transaction;
  }),
];

function correctionsOf(changes: ChangeSet, before: Text): { from: number; to: number; insert: string }[] {
  const corrections: { from: number; to: number; insert: string }[] = [];
  const broken = (at: number) => corrections.push({ from: at, to: at + 1, insert: "\uFFFD" });
  changes.iterChanges((fromA, toA, from, to, inserted) => {
    // What stays of a pair that was cut is no character, not even beside another half that would complete it.
    if (cutsPair(before, fromA)) broken(from - 1);
    if (PECULIAR.test(inserted.toString())) {
      for (const match of inserted.toString().matchAll(ODD)) {
        const at = from + match.index;
        if (!match[0].startsWith("\r")) broken(at);
        else corrections.push({ from: at, to: at + match[0].length, insert: "\n" });
      }
    }
    if (cutsPair(before, toA)) broken(to);
  });
  // Two changes can leave one half between them.
  return corrections.filter(({ from }, i) => corrections[i - 1]?.from !== from);
}

const PECULIAR = /[\r\uD800-\uDFFF]/;
const ODD = /\r\n?|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;
const PAIR = /^[\uD800-\uDBFF][\uDC00-\uDFFF]$/;

function cutsPair(text: Text, at: number): boolean {
  return at > 0 && at < text.length && PAIR.test(text.sliceString(at - 1, at + 1));
}
