import { defaultKeymap } from "@codemirror/commands";
import { Compartment, EditorState, Prec, type ChangeDesc, type Extension } from "@codemirror/state";
import { EditorView, dropCursor, highlightSpecialChars, keymap, placeholder } from "@codemirror/view";
import type { OpenDocument } from "../open_document.svelte";
import { engineState } from "../stopped.svelte";
import type { DocumentSession } from "../wasm/sheaf_web";
import { Binding, plainText } from "./binding";
import { carets, showPeople } from "./carets";
import { OncePerFrame } from "./frames";
import { markdown } from "./markdown";
import { STYLE_NONCE } from "./nonce";

/** The text of an open document, shown and written in. */
export class TextView {
  private readonly view: EditorView;
  private readonly binding: Binding;
  private readonly writing = new Compartment();
  private readonly frame = new OncePerFrame(() => engineState.guard(() => this.refresh()));
  private readonly session: DocumentSession;
  private selected = "";

  constructor(
    parent: HTMLElement,
    document: OpenDocument,
    private mayWrite: boolean,
  ) {
    const session = (this.session = document.session);
    const undo = () => this.takeBack(() => session.undo());
    const redo = () => this.takeBack(() => session.redo());
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: session.text(),
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
              for (const transaction of update.transactions) this.binding.handOver(transaction);
            });
            if (update.docChanged) document.touched();
            if (update.docChanged || update.selectionSet || update.focusChanged) this.frame.ask();
          }),
        ],
      }),
    });
    this.binding = new Binding(session, this.view);
  }

  /** There may be changes by others, or people elsewhere. Shown in the next frame. */
  news(): void {
    this.frame.ask();
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
    this.view.destroy();
  }

  private refresh(): void {
    this.binding.show({ mayShow: (changes) => !this.disturbsComposition(changes) });
    if (!this.binding.even) {
      // Somebody composes right where the change is: again in a moment.
      this.frame.ask();
      return;
    }
    // Asking for a height makes CodeMirror measure now: only so does it keep the lines in sight where they are. Another
    // transaction before it has measured, such as the next one, would make it forget where they were.
    this.view.lineBlockAtHeight(0);
    // Both are even now: only so do the engine's offsets mean the same in the view.
    showPeople(this.view, this.session.people());
    this.announceSelection();
  }

  /** An input method owns the line it composes in; the browser takes its text away when that line changes. */
  private disturbsComposition(changes: ChangeDesc): boolean {
    if (!this.view.composing && !this.view.compositionStarted) return false;
    const { from, to } = this.view.state.selection.main;
    const first = this.view.state.doc.lineAt(from).from;
    const last = this.view.state.doc.lineAt(to).to;
    return changes.touchesRange(first, last) !== false;
  }

  private announceSelection(): void {
    if (!this.mayWrite || !this.view.hasFocus) return;
    const { anchor, head } = this.view.state.selection.main;
    const selected = `${anchor} ${head}`;
    if (selected === this.selected) return;
    this.selected = selected;
    this.session.select(anchor, head);
  }

  private takeBack(work: () => void): boolean {
    if (!this.mayWrite) return false;
    engineState.guard(() => {
      this.binding.show();
      work();
      this.binding.show({ follow: true });
    });
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
