import { ChangeSet } from "@codemirror/state";
import type { Splice } from "../wasm/sheaf_web";

/** As splices that apply one after another, each counting in the text as those before left it. */
export function splicesOf(changes: ChangeSet): Splice[] {
  const splices: Splice[] = [];
  changes.iterChanges((fromA, toA, fromB, _toB, inserted) => {
    splices.push({ at: fromB, delete: toA - fromA, insert: inserted.toString() });
  });
  return splices;
}

/** The same section by section: only so is the change made of them the very same one. */
export function sectionsOf(changes: ChangeSet): Splice[] {
  const splices: Splice[] = [];
  changes.iterChanges((fromA, toA, fromB, _toB, inserted) => {
    splices.push({ at: fromB, delete: toA - fromA, insert: inserted.toString() });
  }, true);
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
