/** Gives the person a file. Nothing leaves the device. */
export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has taken it over once the click is done with.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
