/** Copies a text, and says what came of it. */
export async function copy(text: string, what: "link" | "text"): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return `${what === "link" ? "Link" : "Text"} copied.`;
  } catch {
    return `The browser does not allow copying here. Select the ${what} and copy it.`;
  }
}
