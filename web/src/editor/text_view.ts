import { defaultKeymap } from "@codemirror/commands";
import { Compartment, EditorState, Prec, type ChangeDesc, type Extension } from "@codemirror/state";
import { EditorView, dropCursor, highlightSpecialChars, keymap, placeholder } from "@codemirror/view";
import type { OpenDocument } from "../open_document.svelte";
import { engineState } from "../stopped.svelte";
import { caretOf, carets, peopleMoved } from "./carets";
import type { Crossing } from "./crossing";
import { OncePerFrame } from "./frames";
import { markdown } from "./markdown";
import { STYLE_NONCE } from "./nonce";
import { fromEngine, plainText } from "./plain_text";

/** Whoever hit a key so lately is typing. */
const TYPING_MS = 150;
/**
 * What others do meanwhile is drawn so long after the person's own next key, when that is on the screen, or so long after it
 * came if there is none by then: a frame of theirs just before the key would have the key wait for the next one.
 */
const AFTER_KEY_MS = 16;
const OTHERS_MS = 80;

/** The text of an open document, shown and written in. */
export class TextView {
  private readonly view: EditorView;
  private readonly text: Crossing;
  private readonly writing = new Compartment();
  private following: { did: string; stopped: () => void; at: number | undefined } | undefined;
  private wroteAt = -TYPING_MS;
  private readonly frame = new OncePerFrame(() => engineState.guard(() => this.refresh()));

  constructor(
    parent: HTMLElement,
    private readonly document: OpenDocument,
    private mayWrite: boolean,
  ) {
    const text = (this.text = document.text);
    const undo = () => this.step("undo");
    const redo = () => this.step("redo");
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text.begin(),
        extensions: [
          plainText,
          EditorView.cspNonce.of(STYLE_NONCE),
          this.writing.of(writing(mayWrite)),
          Prec.high(
            EditorView.domEventHandlers({
              keydown: (event) => handled(event, takingBack(event), undo, redo),
              // The same from a menu, or by shaking a phone.
              beforeinput: (event) => handled(event, event.inputType, undo, redo),
            }),
          ),
          markdown,
          keymap.of(defaultKeymap),
          carets,
          EditorView.lineWrapping,
          EditorView.perLineTextDirection.of(true),
          dropCursor(),
          highlightSpecialChars({ render: specialCharacter }),
          EditorView.updateListener.of((update) => {
            // CodeMirror would only log what fails here, and go on with a text that nobody keeps.
            engineState.guard(() => {
              for (const transaction of update.transactions) text.handOver(transaction);
              text.sendOn();
            });
            if (update.transactions.some((one) => one.docChanged && !one.annotation(fromEngine))) {
              document.wrote();
              this.wroteAt = performance.now();
              this.frame.hurry(AFTER_KEY_MS);
            } else if (update.selectionSet || update.focusChanged) {
              // Where the caret is after a change goes with the change.
              this.frame.ask();
            }
          }),
        ],
      }),
    });
    text.connect(this.view);
    // Whoever moves about themselves has stopped following.
    for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      this.view.dom.addEventListener(kind, () => this.stopFollowing(), { passive: true });
    }
  }

  /** Keeps somebody's caret in sight, or nobody's. `stopped` is called when the person goes their own way. */
  follow(did: string | undefined, stopped: () => void): void {
    this.following = did === undefined ? undefined : { did, stopped, at: undefined };
    this.frame.ask();
  }

  private stopFollowing(): void {
    const { following } = this;
    this.following = undefined;
    following?.stopped();
  }

  private keepInSight(): void {
    const { following, view } = this;
    const at = following && caretOf(view.state, following.did);
    if (!following || at === undefined || at === following.at) return;
    following.at = at;
    view.dispatch({ effects: EditorView.scrollIntoView(at, { y: "nearest", yMargin: 80 }) });
  }

  /** There may be changes by others, or people elsewhere. Shown in the next frame, or between the person's own keys. */
  news(): void {
    if (performance.now() - this.wroteAt < TYPING_MS) this.frame.askIn(OTHERS_MS);
    else this.frame.ask();
  }

  setMayWrite(mayWrite: boolean): void {
    if (mayWrite === this.mayWrite) return;
    this.mayWrite = mayWrite;
    this.view.dispatch({ effects: this.writing.reconfigure(writing(mayWrite)) });
  }

  focus(): void {
    this.view.focus();
  }

  destroy(): void {
    this.frame.cancel();
    this.text.connect(undefined);
    this.view.destroy();
  }

  private refresh(): void {
    const { view, text } = this;
    // What came and where others are go in together: each transaction by itself would be drawn by itself.
    const people = (changes?: ChangeDesc) => peopleMoved(view.state, this.document.people, text.carets, changes);
    let shown = text.show((changes) => !this.disturbsComposition(changes), people);
    if (!text.even) {
      // Somebody composes right where the change is: again in a moment.
      this.frame.ask();
      return;
    }
    const moved = shown ? undefined : people();
    if (moved) {
      view.dispatch({ effects: moved });
      shown = true;
    }
    // Asking for a height makes CodeMirror measure now, in the frame that this is drawn in: only so does it keep the lines in
    // sight where they are, whatever comes next.
    if (shown) view.lineBlockAtHeight(0);
    this.keepInSight();
    if (this.mayWrite && view.hasFocus) text.select();
  }

  /** An input method owns the line it composes in; the browser takes its text away when that line changes. */
  private disturbsComposition(changes: ChangeDesc): boolean {
    if (!this.view.composing && !this.view.compositionStarted) return false;
    const { from, to } = this.view.state.selection.main;
    const first = this.view.state.doc.lineAt(from).from;
    const last = this.view.state.doc.lineAt(to).to;
    return changes.touchesRange(first, last) !== false;
  }

  /** Takes back the person's last change, as its key does. */
  undo(): void {
    this.step("undo");
  }

  private step(step: "undo" | "redo"): boolean {
    if (!this.mayWrite) return false;
    this.document.wrote();
    // What is taken back is the person's own: it does not wait for a key.
    this.wroteAt = -TYPING_MS;
    this.text.step(step);
    return true;
  }
}

type TakingBack = "historyUndo" | "historyRedo";

function handled(event: Event, what: string | undefined, undo: () => boolean, redo: () => boolean): boolean {
  if (what === "historyUndo") undo();
  else if (what === "historyRedo") redo();
  else return false;
  event.preventDefault();
  return true;
}

const MAC = /Mac|iP(hone|ad)/.test(navigator.platform);

/** Undo and redo by key, whatever Shift and Caps Lock make of the letter, and by its place where the script has no `z`. */
function takingBack(event: KeyboardEvent): TakingBack | undefined {
  const mod = MAC ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;
  if (!mod || event.altKey) return undefined;
  const key = /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : event.code.replace(/^Key/, "").toLowerCase();
  if (key === "z") return event.shiftKey ? "historyRedo" : "historyUndo";
  return key === "y" && !MAC && !event.shiftKey ? "historyRedo" : undefined;
}

function writing(mayWrite: boolean): Extension {
  return [
    EditorState.readOnly.of(!mayWrite),
    EditorView.editable.of(mayWrite),
    EditorView.contentAttributes.of({
      "aria-label": "Document text",
      "aria-readonly": String(!mayWrite),
      // A reader can reach and scroll it with the keyboard all the same.
      tabindex: "0",
      spellcheck: "true",
      autocorrect: "on",
      autocapitalize: "sentences",
    }),
    mayWrite ? placeholder("Write…") : [],
  ];
}

/** Control characters are shown as a small mark, so that nothing in a text is invisible; a line's `\r` as a fainter one. */
function specialCharacter(code: number, description: string | null): HTMLElement {
  const mark = document.createElement("span");
  mark.className = code === 0x0d ? "sheaf-special sheaf-return" : "sheaf-special";
  mark.textContent = code === 0x0d ? "␍" : "•";
  mark.title = description ?? "";
  mark.setAttribute("aria-label", description ?? "control character");
  return mark;
}
