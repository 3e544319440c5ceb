// Links of restores made in this tab. The server keeps no more than a hash, so a link is shown as long as this tab is open, and never stored.
const links = new Map<string, string>();

export function keepLink(id: string, url: string | null | undefined): void {
  if (url) links.set(id, url);
}

export const linkOf = (id: string): string | undefined => links.get(id);
