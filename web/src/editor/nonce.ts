/** What the page's policy lets CodeMirror's style elements in by; see `vite.config.ts`. */
export const STYLE_NONCE = "c2hlYWYtZWRpdG9yLXN0eWxlcw==";
