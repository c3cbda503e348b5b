import { EditorSelection, StateEffect, StateField, type ChangeDesc, type EditorState, type Extension } from "@codemirror/state";
import { type EditorView, RectangleMarker, layer, type LayerMarker } from "@codemirror/view";
import { inkOn } from "../ink";
import type { Person, Caret as Where } from "../wasm/sheaf_web";

// Others' carets and selections are drawn in layers of their own, above and below the text. Nothing of them is in the
// text's own elements, so they cannot move a character, disturb an input method or be read out in mid-sentence.

interface Caret {
  /** Whose. An account is here once. */
  did: string;
  name: string;
  color: string;
  anchor: number;
  head: number;
  /** Counts the moves the person made; the text moving under them is none. */
  moves: number;
}

const setCarets = StateEffect.define<Caret[]>({
  map: (carets, changes) => carets.map((caret) => mapped(caret, changes)),
});

const caretsField = StateField.define<Caret[]>({
  create: () => [],
  update(carets, transaction) {
    if (transaction.docChanged) carets = carets.map((caret) => mapped(caret, transaction.changes));
    for (const effect of transaction.effects) if (effect.is(setCarets)) carets = effect.value;
    return carets;
  },
});

function mapped(caret: Caret, changes: ChangeDesc): Caret {
  // With the character before it, as the engine has it: what somebody else writes right there comes after it.
  return { ...caret, anchor: changes.mapPos(caret.anchor, -1), head: changes.mapPos(caret.head, -1) };
}

/** Where somebody's caret is in the text; nothing where it is not known. */
export function caretOf(state: EditorState, did: string): number | undefined {
  return state.field(caretsField).find((caret) => caret.did === did)?.head;
}

/** Where others are, as the engine tells it, for a transaction that makes these changes; nothing where that is known already. */
export function peopleMoved(
  state: EditorState,
  people: Person[],
  where: Where[],
  changes?: ChangeDesc,
): StateEffect<unknown> | undefined {
  const known = state.field(caretsField).map((caret) => (changes ? mapped(caret, changes) : caret));
  const limit = changes ? changes.newLength : state.doc.length;
  const carets: Caret[] = [];
  for (const caret of where) {
    const person = people[caret.person];
    if (!person || person.isSelf) continue;
    const { did, name, handle, color } = person;
    const anchor = Math.min(caret.anchor, limit);
    const head = Math.min(caret.head, limit);
    const before = known.find((other) => other.did === did);
    const moved = before?.anchor !== anchor || before.head !== head;
    carets.push({ did, name: handle ?? name, color, anchor, head, moves: (before?.moves ?? 0) + (moved ? 1 : 0) });
  }
  return same(carets, known) ? undefined : setCarets.of(carets);
}

function same(a: Caret[], b: Caret[]): boolean {
  return a.length === b.length && a.every((caret, i) => equal(caret, b[i]));
}

function equal(a: Caret, b: Caret | undefined): boolean {
  return (
    b !== undefined &&
    a.did === b.did &&
    a.anchor === b.anchor &&
    a.head === b.head &&
    a.moves === b.moves &&
    a.name === b.name &&
    a.color === b.color
  );
}

/** How long after a move a caret shows its name, and how long after that it fades. */
const NAMED_MS = 2_500;
const FADES_MS = 1_500;

/** What will put each caret to rest. */
const rests = new WeakMap<HTMLElement, number>();

// By timers: an animation that only waits to begin has the browser draw frame upon frame all the same, and whoever types
// meanwhile waits for the next of them.
function moves(caret: HTMLElement): void {
  clearTimeout(rests.get(caret));
  if (caret.classList.contains("sheaf-caret-nameless")) caret.classList.remove("sheaf-caret-nameless", "sheaf-caret-still");
  const still = () => caret.classList.add("sheaf-caret-still");
  const nameless = () => {
    caret.classList.add("sheaf-caret-nameless");
    rests.set(caret, window.setTimeout(still, FADES_MS));
  };
  rests.set(caret, window.setTimeout(nameless, NAMED_MS));
}

/** A caret with its name; the name shows for a while after each move. */
class CaretMarker implements LayerMarker {
  constructor(
    private readonly caret: Caret,
    private readonly left: number,
    private readonly top: number,
    private readonly height: number,
    private readonly flip: boolean,
  ) {}

  eq(other: LayerMarker): boolean {
    return (
      other instanceof CaretMarker &&
      this.left === other.left &&
      this.top === other.top &&
      this.height === other.height &&
      this.flip === other.flip &&
      equal(this.caret, other.caret)
    );
  }

  draw(): HTMLElement {
    const element = document.createElement("div");
    element.className = "sheaf-caret";
    const name = document.createElement("span");
    name.className = "sheaf-caret-name";
    element.append(name);
    this.adjust(element, name);
    moves(element);
    return element;
  }

  update(element: HTMLElement, before: LayerMarker): boolean {
    const name = element.firstChild;
    if (!(before instanceof CaretMarker) || before.caret.did !== this.caret.did || !(name instanceof HTMLElement)) return false;
    this.adjust(element, name, before);
    if (before.caret.moves !== this.caret.moves) moves(element);
    return true;
  }

  /** Only what is not so already: whatever is set is laid out anew, with every key of everybody. */
  private adjust(element: HTMLElement, name: HTMLElement, before?: CaretMarker): void {
    const { caret, left, top, height, flip } = this;
    if (before?.left !== left) element.style.left = `${left}px`;
    if (before?.top !== top) element.style.top = `${top}px`;
    if (before?.height !== height) element.style.height = `${height}px`;
    if (before?.caret.color !== caret.color) {
      element.style.setProperty("--person", caret.color);
      element.style.setProperty("--on-person", inkOn(caret.color));
    }
    if (before?.flip !== flip) element.classList.toggle("sheaf-caret-flip", flip);
    if (before?.caret.name !== caret.name) name.textContent = caret.name;
  }
}

/** A piece of somebody's selection. */
class SelectionMarker implements LayerMarker {
  constructor(
    private readonly piece: RectangleMarker,
    private readonly color: string,
  ) {}

  eq(other: LayerMarker): boolean {
    return other instanceof SelectionMarker && this.color === other.color && this.piece.eq(other.piece);
  }

  draw(): HTMLElement {
    const element = this.piece.draw();
    element.style.setProperty("--person", this.color);
    return element;
  }

  update(element: HTMLElement, before: LayerMarker): boolean {
    if (!(before instanceof SelectionMarker) || before.color !== this.color) return false;
    return this.piece.update(element, before.piece);
  }
}

function caretMarkers(view: EditorView): LayerMarker[] {
  const { left, top, right } = view.scrollDOM.getBoundingClientRect();
  const origin = { left: left - view.scrollDOM.scrollLeft, top: top - view.scrollDOM.scrollTop };
  const markers: LayerMarker[] = [];
  for (const caret of view.state.field(caretsField)) {
    const at = view.coordsAtPos(caret.head, caret.head > caret.anchor ? -1 : 1);
    if (!at) continue;
    const flip = right - at.left < 120;
    markers.push(new CaretMarker(caret, at.left - origin.left, at.top - origin.top, at.bottom - at.top, flip));
  }
  return markers;
}

function selectionMarkers(view: EditorView): LayerMarker[] {
  const markers: LayerMarker[] = [];
  for (const { anchor, head, color } of view.state.field(caretsField)) {
    if (anchor === head) continue;
    const range = EditorSelection.range(anchor, head);
    for (const piece of RectangleMarker.forRange(view, "sheaf-selection", range)) {
      markers.push(new SelectionMarker(piece, color));
    }
  }
  return markers;
}

/** Others' carets and selections. */
export const carets: Extension = [
  caretsField,
  layer({
    above: true,
    class: "sheaf-carets",
    markers: caretMarkers,
    update: (update) => update.docChanged || update.viewportChanged || moved(update.startState, update.state),
  }),
  layer({
    above: false,
    class: "sheaf-selections",
    markers: selectionMarkers,
    update: (update) => update.docChanged || update.viewportChanged || moved(update.startState, update.state),
  }),
];

function moved(before: EditorState, after: EditorState): boolean {
  return before.field(caretsField) !== after.field(caretsField);
}
