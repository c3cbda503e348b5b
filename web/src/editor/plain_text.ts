import { Annotation, EditorState, type ChangeSet, type Extension, type Text } from "@codemirror/state";

/** Marks transactions that come from the engine: they are not handed back to it, and taken as they are. */
export const fromEngine = Annotation.define<true>();

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
