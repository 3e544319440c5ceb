// Hands a text to the person as a file, without any server seeing it again.

export function save(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it by the next turn of its loop.
  window.setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
